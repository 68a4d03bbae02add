"""Scripted controllers that read the simulator's state: they show that tasks can be solved."""
