"""The relay: an ordered chain of subtasks, told apart by one goal encoding.

Points are the gripper (where objects are reached) and then the objects, P of them. Each subtask
has one goal slot for each point. With object ``i`` the active one,

- the gripper's slot holds the position of object i while it is reached, else nothing;
- the slot of an object before i in the chain holds its desired goal: it must stay solved;
- the slot of object i holds its desired goal while it is brought, else nothing;
- the slot of an object after i holds its own position: it must not be disturbed.

A subtask is solved where every slot that holds something lies within its limit of its point.

Source: Luo et al., "Relay Hindsight Experience Replay", arXiv 2208.00843, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .slots import Slots, fill, make_slots, pick, within
from .subtask import Subtask, chain


@dataclass(frozen=True)
class Relay:
    """A chain of subtasks over N objects.

    Shapes below: ``*`` any leading shape, ``P`` points, ``N`` objects and desired goals, ``S``
    subtasks. A subtask is given as int64 [*], or as one int for all, which is faster.

    Args:
        objects: name of the bring-subtask of each object, for example ``("push",)``.
        epsilon: distance in metres within which a slot counts as met.
        reach: each object is reached by the gripper before it is brought. Else there is no
            gripper among the points, and each object has one subtask.
        last_only: the last subtask alone, which is plain HER (arXiv 1707.01495).
        order: indices of the objects as they are worked on; by default one after the other.
        handover: share of epsilon within which an object counts as home, so that :meth:`serving`
            goes on to the next one, in (0, 1].
        reached_distance: gripper to object, in metres, within which an object counts as reached;
            None takes epsilon.
        reward_radius: share of epsilon within which the active slot counts as met, in (0, 1].
        finished_radius: share of epsilon within which the slot of an object that was brought before
            counts as met, in (0, 1].
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

    def __post_init__(self) -> None:
        if not self.objects or len(set(self.objects)) < len(self.objects):
            raise ValueError(f"a relay needs objects of different names, got {self.objects}")
        shares = (self.handover, self.reward_radius)
        if not all(0 < share <= 1 for share in shares) or not self.epsilon > 0:
            raise ValueError(
                "a relay needs an epsilon above 0, and handover and reward_radius in (0, 1], got "
                f"{self.epsilon}, {self.handover} and {self.reward_radius}"
            )
        if self.order is not None and sorted(self.order) != list(range(self.num_objects)):
            raise ValueError(f"order must name each of {self.num_objects} objects once")
        if len(set(self.names)) < self.num_subtasks:
            raise ValueError(f"the subtasks {self.names} need names of their own: rename an object")

    # --- what it is made of --------------------------------------------------------------------

    @property
    def num_objects(self) -> int:
        return len(self.objects)

    @property
    def num_points(self) -> int:
        """P: the gripper, where there is reaching, and the objects."""
        return self.num_objects + self.reach

    @property
    def num_desired(self) -> int:
        """Desired goals of the task, one for each object."""
        return self.num_objects

    @cached_property
    def working_order(self) -> tuple[int, ...]:
        """Indices of the objects as they are worked on."""
        return tuple(range(self.num_objects)) if self.order is None else self.order

    @cached_property
    def subtasks(self) -> tuple[Subtask, ...]:
        return chain(self.objects, self.working_order, self.reach, self.last_only)

    @property
    def num_subtasks(self) -> int:
        return len(self.subtasks)

    @property
    def last(self) -> int:
        """Index of the last subtask, the task itself."""
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
        """The same task without its chain; slots and points stay as they are."""
        return replace(self, last_only=True)

    def reaching(self, distance: float | None) -> Relay:
        """The same chain, with another ``reached_distance`` in metres."""
        return replace(self, reached_distance=distance)

    def rewarded(self, share: float) -> Relay:
        """The same chain as it is learned: an object is brought to within ``share`` of the distance
        at which it counts as home, and then stays home.
        """
        return replace(self, reward_radius=share * self.handover, finished_radius=self.handover)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as a checkpoint keeps them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Relay:
        """The relay that :meth:`to_dict` told of.

        Raises:
            ValueError: for a name that is no argument, or a chain that is none.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a relay has no {', '.join(sorted(map(str, unknown)))}")
        own: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**own)

    # --- goals ---------------------------------------------------------------------------------

    @cached_property
    def slots(self) -> Slots:
        """Lookup tables of what fills each slot."""
        return make_slots(self.subtasks, self.working_order, self.reach)

    def goals(self, achieved: Tensor, desired: Tensor, subtask: Tensor | int) -> Tensor:
        """Goal of every slot, [*, P, 3]; 0 in a slot that holds nothing.

        Args:
            achieved: current positions of the points, [*, P, 3] (metres).
            desired: desired goals of the task, [*, N, 3] (metres).
            subtask: see above.
        """
        if isinstance(subtask, int):
            return fill(self.slots.source[subtask].tolist(), desired, achieved)
        return pick(desired, achieved, self.slots.source, subtask)

    def hindsight_goals(self, achieved: Tensor, later: Tensor, subtask: Tensor | int) -> Tensor:
        """Hindsight goal of every slot, [*, P, 3].

        Args:
            achieved: positions at the transition's own time t, [*, P, 3] (metres).
            later: positions at a later time f of the same episode, [*, P, 3] (metres).
            subtask: see above.
        """
        if isinstance(subtask, int):
            return fill(self.slots.hindsight[subtask].tolist(), later, achieved)
        return pick(later, achieved, self.slots.hindsight, subtask)

    def moving_goal(self, subtask: int, slot: int) -> bool:
        """Whether a slot's goal is where a point is now, so that it moves along."""
        return int(self.slots.source[subtask, slot]) > self.num_desired

    # --- what is solved ------------------------------------------------------------------------

    @cached_property
    def limit(self) -> Tensor:
        """Metres within which each slot counts as met, infinite for one that holds nothing, [S, P].

        ``reward_radius`` tightens the active slot, ``finished_radius`` those of finished objects.
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
        """Whether every slot that holds something lies within its limit of its point, [*] bool."""
        return within(goals, achieved, self.limit.to(goals.device)[subtask])

    def solved(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """Whether each subtask is solved in a state, [*, S] bool; see :meth:`met`."""
        each = [self.met(self.goals(achieved, desired, s), achieved, s) for s in self.indices]
        return torch.stack(each, dim=-1)

    @property
    def indices(self) -> range:
        """Of the subtasks."""
        return range(self.num_subtasks)

    def home(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """Which objects are near enough to their goals to be left there, [*, N] bool."""
        objects = achieved[..., int(self.reach) :, :]
        distance = torch.linalg.vector_norm(desired - objects, dim=-1)
        return distance <= self.handover * self.epsilon

    def serving(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """The bring-subtask to act by in a state, [*] int64.

        It is that of the first object that is not home; the last one if all are. This is a
        function of the state alone: a disturbed object is brought again.
        """
        brings = torch.tensor(self.brings, device=achieved.device)
        if len(brings) == 1:
            return brings[0].expand(achieved.shape[:-2])
        home = self.home(achieved, desired)
        ahead = torch.ones_like(home[..., 0])
        finished = torch.zeros_like(ahead, dtype=torch.int64)  # objects before the first not home
        for index in self.working_order[:-1]:
            ahead = ahead & home[..., index]
            finished = finished + ahead
        return brings[finished]

    def working_on(self, achieved: Tensor, desired: Tensor) -> Tensor:
        """The subtask that comes next in a state, [*] int64: for metrics and exploration.

        It is :meth:`serving`, or the reaching before it while that object is neither reached nor
        home.
        """
        bring = self.serving(achieved, desired)
        if not self.reach or self.last_only:
            return bring
        objects = torch.tensor([s.object for s in self.subtasks], device=bring.device)[bring]
        index = (objects + 1)[..., None, None].expand(*objects.shape, 1, 3)
        away = achieved.gather(-2, index).squeeze(-2) - achieved[..., 0, :]
        limit = self.epsilon if self.reached_distance is None else self.reached_distance
        reached = torch.linalg.vector_norm(away, dim=-1) <= limit
        home = self.home(achieved, desired).gather(-1, objects.unsqueeze(-1)).squeeze(-1)
        return torch.where(reached | home, bring, bring - 1)
