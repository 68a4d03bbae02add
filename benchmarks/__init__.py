"""Measurements of the trainer; each module is one command, ``python -m benchmarks.<name>``."""
