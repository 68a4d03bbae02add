"""The relay: chain of subtasks, goals, rewards, and the layout of an observation. Pure torch."""
