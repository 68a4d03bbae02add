"""Noise-free episodes, figures of merit and result tables."""
