"""The environment's own reward beside the distance that a relay learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rher_pl.envs.gymnasium_probe import Probe
from rher_pl.envs.gymnasium_reward import OwnReward
from rher_pl.relay import Interface, Relay

SAMPLES, REACH = 400, 2.0
"""Goals that are compared, up to so many epsilons away from what was achieved."""


@dataclass(frozen=True)
class Comparison:
    """Where the two judge differently.

    Args:
        only_relay: share of goals that epsilon alone takes for met.
        only_own: share that the environment alone does.
        batched: whether ``compute_reward`` takes whole batches.
    """

    only_relay: float
    only_own: float
    batched: bool


def compare(seen: Probe, interface: Interface, relay: Relay) -> Comparison:
    """Judge achieved goals against goals at all distances from 0 to twice epsilon, for each object;
    or to twice the environment's own distance, where that is more.

    Raises:
        ConfigError: if the environment's own reward cannot be asked.
    """
    own = OwnReward(seen.env, interface, seen.achieved, seen.desired)
    distance = own.threshold(seen.achieved[0])
    largest = max(relay.epsilon, distance) if distance < float("inf") else relay.epsilon
    rng = np.random.default_rng(0)
    rows = seen.achieved[rng.integers(len(seen.achieved), size=SAMPLES)]
    offsets = []
    for count in interface.numbers:  # in every direction, all lengths alike
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
