"""The registered tasks: each an environment, a relay and a layout, known by its name."""

from . import shipped as shipped  # registers them
from .registry import WrittenTask, get_task, known_tasks, load_entry_points, register_task
from .task import Points, Task, fitted, make_env

__all__ = [
    "Points",
    "Task",
    "WrittenTask",
    "fitted",
    "get_task",
    "known_tasks",
    "load_entry_points",
    "make_env",
    "register_task",
]
