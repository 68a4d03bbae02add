"""Gymnasium environments of the tasks of the RHER paper, registered under ``rher_pl/``."""
