"""How fast everything is, measured in one run: see ``python -m benchmarks.throughput --help``."""
