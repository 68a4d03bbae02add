"""Noise-free episodes, figures of merit and result tables."""

FIRST_SEED = 2_000_000
"""First seed of evaluations after training; no checkpoint is chosen on these seeds."""
CARD_SEED = 3_000_000
"""First seed of the episodes that model cards report; used for nothing else."""
