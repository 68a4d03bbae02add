"""Exit statuses of all commands."""

SUCCESS = 0
FAULT = 1
"""Something went wrong in the work itself."""
MISTAKE = 2
"""A mistake in the arguments, a config, a checkpoint or a tracking URI, told in one line."""
SIGNAL = 128
"""Added to the number of the signal that ended the command, as a shell reports it."""
