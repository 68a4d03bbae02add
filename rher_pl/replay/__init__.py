"""Storage of whole episodes, sampling from it, and hindsight relabelling."""
