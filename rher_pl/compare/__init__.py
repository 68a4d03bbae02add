"""Learning curves of runs, over seeds, beside published figures: ``python -m rher_pl.compare``."""
