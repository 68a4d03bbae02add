"""Trained policies outside of training."""
