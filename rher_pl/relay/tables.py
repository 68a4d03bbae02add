"""Where each input of the networks comes from, as tables of columns.

All that may be seen stands side by side in *sources*: the observation; the goals of the slots
[3 P]; the same seen from their points [3 P]; and points and places seen from the first point
[3 P + 3 places]. A column of a table counts through the sources from the first to the last.
"""

from __future__ import annotations

from typing import NamedTuple

from .chain import Relay
from .columns import Columns
from .layout import Layout


class Tables(NamedTuple):
    """Inputs of each subtask.

    Args:
        columns: of the sources, one list for each subtask, all of the same length.
        bounds: column at which the second, third and fourth source begin.
        sizes: how many inputs are numbers of the observation, goals, and fine relative ones.
    """

    columns: list[list[int]]
    bounds: tuple[int, int, int]
    sizes: tuple[int, int, int]

    @property
    def alike(self) -> bool:
        """Whether the same numbers are seen for all subtasks."""
        return all(table == self.columns[0] for table in self.columns)

    def runs(self, subtask: int) -> list[tuple[int, slice]]:
        """Columns as (source, slice): slices are views; picking by index would copy."""
        firsts = (0, *self.bounds)
        found: list[tuple[int, slice]] = []
        for column in self.columns[subtask]:
            source = sum(column >= bound for bound in self.bounds)
            at = column - firsts[source]
            if found and found[-1][0] == source and found[-1][1].stop == at:
                found[-1] = (source, slice(found[-1][1].start, at + 1))
            else:
                found.append((source, slice(at, at + 1)))
        return found


def make_tables(
    relay: Relay,
    layout: Layout,
    columns: Columns,
    relative_goals: bool,
    absolute_positions: bool,
) -> Tables:
    """Tables of an input encoder; see ``InputEncoder`` for the arguments."""
    points, start = relay.num_points, len(layout)
    offsets, seen = start + 3 * points, start + 6 * points
    axes = range(3) if absolute_positions else (2,)
    places = [seen + 3 * points + i for i in range(3 * len(columns.places))]
    tables, sizes = [], (0, 0, 0)
    for observed, order, others in zip(
        columns.observed, columns.points, columns.objects, strict=True
    ):
        goals = [start + 3 * point + axis for point in order for axis in axes]
        near = [offsets + 3 * point + axis for point in order for axis in range(3)]
        near += [seen + 3 * point + axis for point in others for axis in range(3)]
        near = near + places if relative_goals else []
        tables.append([*observed, *goals, *near, *near])
        sizes = (len(observed), len(goals) + len(near), len(near))
    return Tables(tables, (start, offsets, seen), sizes)
