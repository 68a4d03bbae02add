"""Noise-free episodes, figures of merit and result tables."""

FIRST_SEED = 2_000_000
"""Evaluation during training uses 1,000,000 and those after it; these choose no checkpoint."""
CARD_SEED = 3_000_000
"""Cards tell of these and those after it, which nobody has looked at before."""
