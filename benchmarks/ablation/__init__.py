"""Variants of the learner side by side: ``python -m benchmarks.ablation --help``."""
