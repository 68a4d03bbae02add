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

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from .chain import Chain
from .numbering import in_the_way, renumbered, working_sequence
from .slots import below, fill, pick, within


@dataclass(frozen=True)
class Relay(Chain):
    """A chain of subtasks, and what it says of states: goals, what is solved, and who is next.

    Shapes below: ``*`` any leading shape, ``P`` points, ``N`` objects and desired goals, ``S``
    subtasks. A subtask is given as int64 [*], or as one int for the whole batch, which is faster.
    See :class:`Chain` for the arguments.
    """

    # --- goals ---------------------------------------------------------------------------------

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

    def rewarded(self, share: float) -> Relay:
        """The same chain with the limits that rewards use while learning.

        The active object's slot counts as met within ``share`` of the distance at which an object
        counts as home, a finished object's slot within that distance itself.
        """
        return replace(self, reward_radius=share * self.handover, finished_radius=self.handover)

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

    # --- who is next ---------------------------------------------------------------------------

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
