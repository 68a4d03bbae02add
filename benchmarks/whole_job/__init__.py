"""From the command to a confirmed success: ``python -m benchmarks.whole_job --help``."""
