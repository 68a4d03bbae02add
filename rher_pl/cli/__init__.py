"""Parsing, messages and the checks before a run."""
