"""Compares an environment's own reward with the distance by which a relay judges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rher_pl.envs.gymnasium_probe import Probe
from rher_pl.envs.gymnasium_reward import OwnReward
from rher_pl.relay import Interface, Relay

SAMPLES, REACH = 400, 2.0
"""Number of goals compared, and how far they are from what was achieved, in epsilons."""


@dataclass(frozen=True)
class Comparison:
    """How often environment and relay judge differently whether a goal is met.

    Args:
        only_relay: share of goals that are met by the relay's epsilon alone.
        only_own: share of goals that are met by the environment's reward alone.
        batched: whether ``compute_reward`` takes whole batches.
    """

    only_relay: float
    only_own: float
    batched: bool


def compare(seen: Probe, interface: Interface, relay: Relay) -> Comparison:
    """Judge goals near achieved ones by the environment's own reward and by the relay's epsilon.

    For each object they lie in all directions, at distances from 0 to twice epsilon, or to twice
    the environment's own threshold where that is more.

    Raises:
        ConfigError: if the environment has no usable reward, see :class:`OwnReward`.
    """
    own = OwnReward(seen.env, interface, seen.achieved, seen.desired)
    distance = own.threshold(seen.achieved[0])
    largest = max(relay.epsilon, distance) if distance < float("inf") else relay.epsilon
    rng = np.random.default_rng(0)
    rows = seen.achieved[rng.integers(len(seen.achieved), size=SAMPLES)]
    offsets = []
    for count in interface.numbers:  # any direction, uniform length
        direction = rng.normal(size=(SAMPLES, count))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        offsets.append(direction * rng.uniform(0.0, REACH * largest, size=(SAMPLES, 1)))
    desired = rows + np.concatenate(offsets, axis=1).astype(rows.dtype)
    achieved_slots, desired_slots = (
        interface.goals(torch.from_numpy(values)) for values in (rows, desired)
    )
    by_own = own(desired_slots, achieved_slots).numpy()
    distance = (desired_slots - achieved_slots).norm(dim=-1)
    by_relay = (distance <= relay.epsilon).all(-1).numpy()
    return Comparison(
        float((by_relay & ~by_own).mean()), float((by_own & ~by_relay).mean()), own.batched
    )
