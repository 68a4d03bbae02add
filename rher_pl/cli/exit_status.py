"""Exit statuses of all commands."""

SUCCESS = 0
FAULT = 1
"""Something went wrong in the work itself."""
MISTAKE = 2
"""In the arguments, a config, a checkpoint or a tracking URI; one line says what to write."""
SIGNAL = 128
"""Plus the number of the signal that ended the command, as a shell reports it."""
