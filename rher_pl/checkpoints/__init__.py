"""Checkpoint files: sealed, whole, and tensors and plain types only."""
