"""Whether an exported policy acts as the live one does, in states of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rher_pl.deploy.portable import PortablePolicy
from rher_pl.errors import TrainingError
from rher_pl.relay import Relay

CHECKED_STATES = 1000
TOLERANCE = 1e-5
"""Largest difference allowed between an exported and a live action component."""
SPREAD = 0.1
"""Least standard deviation of gripper, objects and goals, metres, as on a table."""


def stratified_states(policy: PortablePolicy, count: int, seed: int = 0) -> tuple[Tensor, ...]:
    """States of every kind, in turn: no object home, the first one, the first two, ..., all.

    Random states would hardly ever have an object home (``Relay.home``). Numbers that are no
    positions lie around what the normaliser has seen.

    Returns:
        Observation, achieved goal and desired goal as the policy takes them, [count, ...] float32.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    relay, encoder = policy.policy.relay, policy.policy.encoder
    observation = SPREAD * normal(count, len(encoder.layout))
    statistics, seen = encoder.observations, encoder.columns.observed[-1]
    observation[:, seen] = statistics.shift + normal(count, len(seen)) / statistics.scale
    achieved, desired = _positions(relay, count, normal)
    middle = _middle(observation, policy)
    achieved, desired = achieved + middle, desired + middle
    interface = policy.interface
    gripper, achieved_goal = interface.split(achieved)
    observation[:, list(interface.gripper)] = gripper
    return observation, achieved_goal, interface.flat(desired)


def _positions(relay: Relay, count: int, normal: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
    """Positions [count, P, 3] and goals [count, N, 3] around 0, metres; in row r the first
    r modulo N + 1 objects of the chain are home.
    """
    spread = max(SPREAD, 2.0 * relay.epsilon)
    achieved = spread * normal(count, relay.num_points, 3)
    desired = spread * normal(count, relay.num_desired, 3)
    home = torch.arange(count) % (relay.num_objects + 1)
    near = 0.25 * relay.handover * relay.epsilon  # twice this in three coordinates is still home
    for rank, index in enumerate(relay.working_order):
        offset = near * normal(count, 3).clamp(-2.0, 2.0)
        point = int(relay.reach) + index
        is_home = (rank < home).unsqueeze(-1)
        achieved[:, point] = torch.where(is_home, desired[:, index] + offset, achieved[:, point])
    return achieved, desired


def _middle(observation: Tensor, policy: PortablePolicy) -> Tensor:
    """Where the gripper is on average, as far as the normaliser has seen it, [3]."""
    middle = torch.zeros(3)
    columns = list(policy.interface.gripper)
    middle[: len(columns)] = observation[:, columns].mean(0)
    return middle


@torch.no_grad()
def parity_gap(policy: PortablePolicy, act: Callable[..., Any]) -> float:
    """Largest difference between an action component of ``act`` and of the live policy.

    Args:
        policy: holds the live policy.
        act: observation, achieved goal and desired goal [B, ...] to actions [B, A].
    """
    inputs = stratified_states(policy, CHECKED_STATES)
    interface = policy.interface
    points, desired = interface.points(inputs[0], inputs[1]), interface.goals(inputs[2])
    live = interface.stretched(policy.policy.act(inputs[0], points, desired))
    return float((torch.as_tensor(act(*inputs)) - live).abs().max())


def require_parity(policy: PortablePolicy, act: Callable[..., Any], what: str) -> None:
    """Refuse an exported policy that acts otherwise than the live one.

    Raises:
        TrainingError: with the difference.
    """
    gap = parity_gap(policy, act)
    if not gap <= TOLERANCE:  # a NaN is refused, too
        raise TrainingError(f"{what} acts otherwise than the policy that was trained, by {gap:.2g}")
