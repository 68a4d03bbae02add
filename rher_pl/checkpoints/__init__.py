"""Checkpoint files: sealed with a checksum, with tensors and plain types only."""
