"""Where each input of the networks comes from, as tables of columns.

All possible inputs stand side by side in four *sources*: the observation [O]; goals of the slots
[3 P]; these goals relative to their points [3 P]; and points and places relative to the first point
[3 P + 3 places]. A table lists columns, numbered through the sources in this order.
"""

from __future__ import annotations

from typing import NamedTuple

from .columns import Columns
from .layout import Layout
from .relay import Relay


class Tables(NamedTuple):
    """Which columns of the sources are the inputs in each subtask.

    Args:
        columns: one list of columns for each subtask, all of the same length.
        bounds: columns at which the second, third and fourth source begin.
        sizes: how many inputs are numbers of the observation, goals (relative positions included),
            and fine relative positions, see ``InputEncoder``.
    """

    columns: list[list[int]]
    bounds: tuple[int, int, int]
    sizes: tuple[int, int, int]

    @property
    def alike(self) -> bool:
        """Whether all subtasks see the same columns."""
        return all(table == self.columns[0] for table in self.columns)

    def runs(self, subtask: int) -> list[tuple[int, slice]]:
        """A subtask's columns as (source, slice): a slice is a view, indexing would copy."""
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
