"""The relay: an ordered chain of subtasks that share one goal encoding.

The P points are the gripper (if objects are reached) and then the objects. Each subtask has one
goal slot for each point. With object ``i`` the active one, which is reached or brought,

- the gripper's slot holds the position of object i while it is reached, else nothing;
- the slot of an object before i in the chain holds its desired goal: it must stay solved;
- the slot of object i holds its desired goal while it is brought, else nothing;
- the slot of an object after i holds its own position: it must not be disturbed.

Where the order of the objects is free, they count as numbered by :meth:`Relay.sequence`.

A subtask is solved when every point whose slot holds something is within its limit of that goal.

Source: Luo et al., "Relay Hindsight Experience Replay", arXiv 2208.00843, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .numbering import in_the_way, renumbered, working_sequence
from .slots import Slots, below, fill, make_slots, pick, within
from .subtask import Subtask, chain


@dataclass(frozen=True)
class Relay:
    """A chain of subtasks over N objects.

    Shapes below: ``*`` any leading shape, ``P`` points, ``N`` objects and desired goals, ``S``
    subtasks. A subtask is given as int64 [*], or as one int for the whole batch, which is faster.

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
            object once, an ``epsilon``, ``handover`` or ``reward_radius`` out of its range, or
            ``any_order`` together with an ``order`` or without a gripper.
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

    def only_last(self) -> Relay:
        """The same task with its last subtask alone; slots and points stay as they are."""
        return replace(self, last_only=True, any_order=False)

    def in_order(self) -> Relay:
        """The same chain, whose objects are worked on in the order of their numbers."""
        return replace(self, any_order=False)

    def reaching(self, distance: float | None) -> Relay:
        """The same chain, with another ``reached_distance`` in metres."""
        return replace(self, reached_distance=distance)

    def rewarded(self, share: float) -> Relay:
        """The same chain with the limits that rewards use while learning.

        The active object's slot counts as met within ``share`` of the distance at which an object
        counts as home, a finished object's slot within that distance itself.
        """
        return replace(self, reward_radius=share * self.handover, finished_radius=self.handover)

    def to_dict(self) -> dict[str, Any]:
        """The arguments as plain types, for a checkpoint."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Relay:
        """The relay that :meth:`to_dict` described.

        Raises:
            ValueError: for a name that is not an argument, or values that :class:`Relay` rejects.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a relay has no argument {', '.join(sorted(map(str, unknown)))}")
        own: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**own)

    # --- goals ---------------------------------------------------------------------------------

    @cached_property
    def slots(self) -> Slots:
        """Lookup tables that say what fills each slot."""
        return make_slots(self.subtasks, self.working_order, self.reach)

    def goals(self, achieved: Tensor, desired: Tensor, subtask: Tensor | int) -> Tensor:
        """Goal of every slot, [*, P, 3] (metres); 0 in a slot that holds nothing.

        Args:
            achieved: current positions of the points, [*, P, 3] (metres).
            desired: desired goals of the task, [*, N, 3] (metres).
            subtask: int64 [*], or one int for all.
        """
        if isinstance(subtask, int):
            return fill(self.slots.source[subtask].tolist(), desired, achieved)
        return pick(desired, achieved, self.slots.source, subtask)

    def hindsight_goals(self, achieved: Tensor, later: Tensor, subtask: Tensor | int) -> Tensor:
        """Hindsight goal of every slot, [*, P, 3] (metres).

        It is where the slot's point is at time f. An object that must not be disturbed has its
        position at time t instead, and a slot that holds nothing has 0.

        Args:
            achieved: positions at the transition's own time t, [*, P, 3] (metres).
            later: positions at a later time f of the same episode, [*, P, 3] (metres).
            subtask: int64 [*], or one int for all.
        """
        if isinstance(subtask, int):
            return fill(self.slots.hindsight[subtask].tolist(), later, achieved)
        return pick(later, achieved, self.slots.hindsight, subtask)

    def moving_goal(self, subtask: int, slot: int) -> bool:
        """Whether a slot's goal is the current position of a point, and so moves with it."""
        return int(self.slots.source[subtask, slot]) > self.num_desired

    # --- what is solved ------------------------------------------------------------------------

    @cached_property
    def limit(self) -> Tensor:
        """Metres within which each slot counts as met, [S, P]; infinite if it holds nothing.

        ``reward_radius`` tightens the active slot's, ``finished_radius`` those of finished objects.
        """
        limit = torch.full((self.num_subtasks, self.num_points), self.epsilon)
        active = torch.tensor(self.reward_radius * self.epsilon)
        limit = torch.where(self.slots.active, active, limit)
        finished = torch.tensor(self.finished_radius * self.epsilon)
        limit = torch.where(self.slots.finished, finished, limit)
        if self.reach and self.reached_distance is not None:
            limit[:, 0] = self.reached_distance
        return limit.masked_fill(~self.slots.used, torch.inf)

    def met(self, goals: Tensor, achieved: Tensor, subtask: Tensor | int) -> Tensor:
        """Whether every point with a goal in its slot is within its limit of it, [*] bool.

        It is false while an object is lost, see ``lowest``.

        Args:
            goals: of every slot, [*, P, 3] (metres).
            achieved: positions of the points, [*, P, 3] (metres).
            subtask: int64 [*], or one int for all.
        """
        met = within(goals, achieved, self.limit.to(goals.device)[subtask])
        return met if self.lowest is None else met & ~below(achieved, self.lowest, self.reach)

    def solved(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """Whether each subtask is solved in a state, [*, S] bool; arguments as in :meth:`goals`."""
        each = [self.met(self.goals(achieved, desired, s), achieved, s) for s in self.indices]
        return torch.stack(each, dim=-1)

    @property
    def indices(self) -> range:
        """Indices of the subtasks, first to last."""
        return range(self.num_subtasks)

    def home(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """Which objects are home, [*, N] bool: within ``handover`` times epsilon of their goals."""
        objects = achieved[..., int(self.reach) :, :]
        distance = torch.linalg.vector_norm(desired - objects, dim=-1)
        return distance <= self.handover * self.epsilon

    def sequence(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """Indices of the objects in the order in which a state works on them, [*, N] int64."""
        if not self.any_order:
            order = torch.tensor(self.working_order, device=achieved.device)
            return order.expand(*achieved.shape[:-2], -1)
        gripper, objects = achieved[..., :1, :], achieved[..., 1:, :]
        away = torch.linalg.vector_norm(objects - gripper, dim=-1)
        home = self.home(achieved, desired)
        return working_sequence(home, away, in_the_way(objects, desired, home, self.epsilon))

    def numbered(self, achieved: Tensor, desired: Tensor) -> tuple[Tensor, Tensor]:
        """Positions [*, P, 3] and desired goals [*, N, 3] (metres) by the subtasks' numbers.

        They stay as they are unless the objects may be brought in any order; see
        :meth:`sequence`. :meth:`goals`, :meth:`met` and :meth:`solved` of a single subtask need
        them in this order.
        """
        if not self.any_order:
            return achieved, desired
        sequence = self.sequence(achieved, desired)
        return renumbered(achieved, sequence), renumbered(desired, sequence)

    def serving(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """The bring-subtask that *serves* a state, that is, by which the policy acts, [*] int64.

        It brings the first object that is not home, in the order in which objects are worked on, or
        the last object if all are home. It depends on the state alone, so a disturbed object is
        brought again.
        """
        brings = torch.tensor(self.brings, device=achieved.device)
        if len(brings) == 1:
            return brings[0].expand(achieved.shape[:-2])
        home = self.home(achieved, desired)
        if self.any_order:
            return brings[home.sum(-1).clamp(max=self.num_objects - 1)]
        ahead = torch.ones_like(home[..., 0])
        finished = torch.zeros_like(ahead, dtype=torch.int64)  # home before the first that is not
        for index in self.working_order[:-1]:
            ahead = ahead & home[..., index]
            finished = finished + ahead
        return brings[finished]

    def working_on(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """The subtask that comes next in a state, [*] int64; for metrics and exploration.

        It is the subtask of :meth:`serving`, or the reach-subtask before it while the object is
        neither reached nor home.
        """
        bring = self.serving(achieved, desired)
        if not self.reach or self.last_only:
            return bring
        objects = self.object_of(achieved, desired, bring)
        index = (objects + 1)[..., None, None].expand(*objects.shape, 1, 3)
        away = achieved.gather(-2, index).squeeze(-2) - achieved[..., 0, :]
        limit = self.epsilon if self.reached_distance is None else self.reached_distance
        reached = torch.linalg.vector_norm(away, dim=-1) <= limit
        home = self.home(achieved, desired).gather(-1, objects.unsqueeze(-1)).squeeze(-1)
        return torch.where(reached | home, bring, bring - 1)

    def object_of(self, achieved: Tensor, desired: Tensor, subtask: Tensor) -> Tensor:
        """Index of the object that a subtask [*] is about in a state, [*] int64."""
        objects = torch.tensor([s.object for s in self.subtasks], device=subtask.device)[subtask]
        if not self.any_order:
            return objects
        return self.sequence(achieved, desired).gather(-1, objects.unsqueeze(-1)).squeeze(-1)
