"""Exceptions that end a command with one line, and that line for all others."""

import traceback
from pathlib import Path


class ConfigError(ValueError):
    """A mistake in a config, a task name, a checkpoint or a tracking URI.

    The message is one line that says what to write instead. Commands print it and exit with
    status 2 before anything is spent.
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


def fault(error: BaseException) -> str:
    """An unforeseen exception in one line: type, message, and the place that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}:{frame.lineno})" for frame in place)
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{where}"


class Stopped(BaseException):
    """A signal asked for the end of a run, which was saved and recorded.

    Like ``KeyboardInterrupt`` it is no ``Exception``: libraries would take it for a fault.

    Args:
        number: the signal; commands exit with 128 plus it, as a shell reports it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {int(number)}")
        self.number = int(number)
