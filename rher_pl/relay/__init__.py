"""The relay: chain of subtasks, goals, serving, and the layout of an observation.

Pure torch. These files travel with an exported policy, so they import nothing else of this package.
"""

from .chain import Relay
from .columns import Columns, input_columns
from .layout import Layout, fetch_layout
from .subtask import Subtask

__all__ = ["Columns", "Layout", "Relay", "Subtask", "fetch_layout", "input_columns"]
