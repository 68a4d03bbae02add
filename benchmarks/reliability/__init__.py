"""What happens to a run when things go wrong: ``python -m benchmarks.reliability --help``."""
