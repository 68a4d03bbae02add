"""Whole episodes, what is sampled of them, and hindsight relabelling."""
