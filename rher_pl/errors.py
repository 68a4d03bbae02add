"""Exceptions that end a command with one line, and the line for any other exception."""

import sys
import traceback
from pathlib import Path

LONGEST = 300
"""Most characters of a line that a command prints about a problem."""
END = 110
"""How many of them are kept for the end of a long line, which says what to write instead."""


class ConfigError(ValueError):
    """A mistake in a config, a task name, a checkpoint or a tracking URI.

    The message is one line that says what to write instead. Commands print it and exit with
    status 2 before the work begins.
    """


def require(condition: bool, message: str) -> None:
    """Raise :class:`ConfigError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ConfigError(message)


class TrainingError(RuntimeError):
    """A fault during training.

    The message is one line. Commands print it and exit with status 1; the last good checkpoint
    stays.
    """


def one_line(text: object) -> str:
    """Text as one line of at most ``LONGEST`` characters; a longer one loses its middle.

    The text may quote a file, an option or another program, so control characters are escaped.
    """
    line = " ".join(str(text).split())
    if len(line) > LONGEST:  # cut before escaping: the text may be a megabyte
        line = f"{line[: LONGEST - END]}…{line[-END:]}"
    if not line.isprintable():
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - END - 1]}…{line[-END:]}"


def say(line: object) -> None:
    """Print a line on stderr, at once; see :func:`one_line`."""
    print(one_line(line), file=sys.stderr, flush=True)


def warn(problem: object) -> None:
    """Print a warning; see :func:`say`. The command goes on."""
    say(f"warning: {problem}")


def fault(error: BaseException) -> str:
    """An unforeseen exception in one line: type, message, and the place that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}:{frame.lineno})" for frame in place)
    return f"{type(error).__name__}: {one_line(error)[:200]}{where}"


class Stopped(BaseException):
    """A signal ended a run, which was saved and recorded before.

    Like ``KeyboardInterrupt`` it is not an ``Exception``, which libraries would handle as a fault.

    Args:
        number: of the signal; commands exit with 128 plus this number, as a shell reports it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {int(number)}")
        self.number = int(number)
