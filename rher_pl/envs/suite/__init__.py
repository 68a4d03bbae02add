"""Gymnasium environments of the tasks of the RHER paper, registered under ``rher_pl/``.

In their docstrings, *the original* is the RHER authors' own code.
"""
