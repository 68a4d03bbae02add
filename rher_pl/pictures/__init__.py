"""Figures, scenes and video."""
