"""Learning curves over seeds: ``python -m benchmarks.learning --help``."""
