"""Many trainings on Ray Tune: seeds, grids of options, and a search for better ones."""
