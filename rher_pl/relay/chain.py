"""What a relay is made of: objects, their order, subtasks, and limits within which they count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

from .slots import Slots, make_slots
from .subtask import Subtask, chain

C = TypeVar("C", bound="Chain")


@dataclass(frozen=True)
class Chain:
    """A chain of subtasks over N objects; see :class:`Relay` for what it says of states.

    Args:
        objects: name of the bring-subtask of each object, for example ``("push",)``.
        epsilon: distance in metres within which a slot counts as met.
        reach: whether the gripper reaches each object before it is brought. If not, the gripper is
            not among the points, and each object has one subtask.
        last_only: keep the last subtask alone, which is plain HER (arXiv 1707.01495).
        order: indices of the objects in the order in which they are worked on; None is 0 to N - 1.
        handover: share of epsilon, in (0, 1], within which an object counts as *home*, so that
            :meth:`serving` goes on to the next one.
        reached_distance: distance from gripper to object, in metres, within which the object counts
            as reached; None is epsilon.
        reward_radius: share of epsilon, in (0, 1], within which the active slot counts as met.
        finished_radius: share of epsilon, in (0, 1], within which the slot of a *finished* object,
            one that an earlier subtask brings, counts as met.
        any_order: the objects are alike and may be brought in any order. The subtasks are then
            those of the first, second, ... object that is worked on, whichever it is: in each state
            the objects that are home come first, then the one that is nearest to the gripper, or
            the nearest of those that stand at the goal of another one.
        lowest: height, in metres, below which an object is lost, as it fell off its table; no
            subtask is solved while one is. Without it, nothing keeps a policy from pushing an
            object off the table whose turn is yet to come. None: no object is ever lost.

    Raises:
        ValueError: for no objects, a name that occurs twice, an ``order`` that does not name each
            object once, an ``epsilon``, ``handover``, ``reward_radius`` or ``lowest`` out of its
            range, or ``any_order`` together with an ``order`` or without a gripper.
    """

    objects: tuple[str, ...]
    epsilon: float = 0.05
    reach: bool = True
    last_only: bool = False
    order: tuple[int, ...] | None = None
    handover: float = 1.0
    reached_distance: float | None = None
    reward_radius: float = 1.0
    finished_radius: float = 1.0
    any_order: bool = False
    lowest: float | None = None

    def __post_init__(self) -> None:
        if not self.objects or len(set(self.objects)) < len(self.objects):
            raise ValueError(f"a relay needs objects of different names, got {self.objects}")
        shares = (self.handover, self.reward_radius, self.finished_radius)
        if not all(0 < share <= 1 for share in shares) or not self.epsilon > 0:
            raise ValueError(
                "a relay needs an epsilon above 0, and handover and reward_radius in (0, 1], got "
                f"{self.epsilon}, {self.handover} and {self.reward_radius}"
            )
        if self.reached_distance is not None and not 0 <= self.reached_distance < math.inf:
            raise ValueError(
                f"reached_distance must be a distance in metres, got {self.reached_distance}"
            )
        if self.lowest is not None and not math.isfinite(self.lowest):
            raise ValueError(f"lowest must be a height in metres, got {self.lowest}")
        if self.order is not None and sorted(self.order) != list(range(self.num_objects)):
            raise ValueError(f"order must name each of {self.num_objects} objects once")
        if self.any_order and (self.order is not None or not self.reach):
            raise ValueError("any_order goes by the gripper's distance: give no order, and reach")
        if len(set(self.names)) < self.num_subtasks:
            raise ValueError(f"two subtasks of {self.names} have the same name: rename an object")

    # --- what it is made of --------------------------------------------------------------------

    @property
    def num_objects(self) -> int:
        return len(self.objects)

    @property
    def num_points(self) -> int:
        """P: the gripper, if objects are reached, and the objects."""
        return self.num_objects + self.reach

    @property
    def num_desired(self) -> int:
        """Number of desired goals of the task, one for each object."""
        return self.num_objects

    @cached_property
    def working_order(self) -> tuple[int, ...]:
        """Indices of the objects in the order in which they are worked on."""
        return tuple(range(self.num_objects)) if self.order is None else self.order

    @cached_property
    def subtasks(self) -> tuple[Subtask, ...]:
        return chain(self.objects, self.working_order, self.reach, self.last_only)

    @property
    def num_subtasks(self) -> int:
        return len(self.subtasks)

    @property
    def last(self) -> int:
        """Index of the last subtask, which is the task itself."""
        return self.num_subtasks - 1

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(subtask.name for subtask in self.subtasks)

    @cached_property
    def brings(self) -> tuple[int, ...]:
        """Indices of the bring-subtasks, first to last."""
        return tuple(i for i, subtask in enumerate(self.subtasks) if not subtask.reach)

    def bring_of(self, subtask: int) -> int:
        """The subtask that brings the object of ``subtask``."""
        return subtask + self.subtasks[subtask].reach

    def only_last(self: C) -> C:
        """The same task with its last subtask alone; slots and points stay as they are."""
        return replace(self, last_only=True, any_order=False, lowest=None)

    def in_order(self: C) -> C:
        """The same chain, whose objects are worked on in the order of their numbers."""
        return replace(self, any_order=False)

    def reaching(self: C, distance: float | None) -> C:
        """The same chain, with another ``reached_distance`` in metres."""
        return replace(self, reached_distance=distance)

    def to_dict(self) -> dict[str, Any]:
        """The arguments as plain types, for a checkpoint."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls: type[C], values: Mapping[str, Any]) -> C:
        """The relay that :meth:`to_dict` described.

        Raises:
            ValueError: for a name that is not an argument, or values that :class:`Relay` rejects.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a relay has no argument {', '.join(sorted(map(str, unknown)))}")
        own: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**own)

    @property
    def indices(self) -> range:
        """Indices of the subtasks, first to last."""
        return range(self.num_subtasks)

    @cached_property
    def slots(self) -> Slots:
        """Lookup tables that say what fills each slot."""
        return make_slots(self.subtasks, self.working_order, self.reach)
