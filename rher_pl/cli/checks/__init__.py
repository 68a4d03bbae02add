"""Checks before a run: of options, of its checkpoint, and of the machine."""
