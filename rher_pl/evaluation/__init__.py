"""Noise-free episodes, figures of merit and result tables."""

FIRST_SEED = 2_000_000
"""Evaluation during training uses 1,000,000 and those after it; these choose no checkpoint."""
