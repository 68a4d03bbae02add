"""The relay: chain of subtasks, goals, serving, and the layout of an observation.

Pure torch. These files are copied along with a logged model, so they import nothing else from this
package.
"""

from .columns import Columns, input_columns
from .interface import Interface
from .layout import Layout, fetch_layout
from .relay import Relay
from .subtask import Subtask
from .tables import Tables, make_tables

__all__ = [
    "Columns",
    "Interface",
    "Layout",
    "Relay",
    "Subtask",
    "Tables",
    "fetch_layout",
    "input_columns",
    "make_tables",
]
