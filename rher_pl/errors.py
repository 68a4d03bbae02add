"""The one exception type that means "the user can fix this by writing something else"."""


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
    """A fault during training that was met with a saved checkpoint.

    The message is one line with the iteration and the checkpoint's path. Commands print it and
    exit with status 1.
    """


class Stopped(Exception):
    """A signal asked for the end of a run, which was saved and recorded.

    Args:
        number: the signal; commands exit with 128 plus it, as a shell reports it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {int(number)}")
        self.number = int(number)
