"""Calls into a user's environment: whatever it raises is reported in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rher_pl.errors import ConfigError, fault

OLD_GYM = ("argument 'seed'", "values to unpack")
"""Words in the errors of environments that are written for Gym, before Gymnasium."""


@contextmanager
def foreign(where: str, advice: str = "") -> Iterator[None]:
    """Turn any exception, also that of ``sys.exit``, into a :class:`ConfigError` of one line.

    Args:
        where: begins the line, such as ``PandaPush-v3 cannot be made``.
        advice: ends the line, and says what to write instead.
    """
    try:
        yield
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        if any(words in str(error) for words in OLD_GYM):
            advice = "; in Gymnasium reset(seed, options) returns 2 values and step returns 5"
        raise ConfigError(f"{where} ({fault(error)[:180]}){advice}") from error
