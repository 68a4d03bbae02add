"""Each task of the suite can be solved as it is built: scripted controllers do so in its steps."""

from __future__ import annotations

from statistics import mean

import numpy as np
import pytest
from controllers.episodes import MAKERS, make, solve

LONG = 100
"""Episodes of the long test."""


@pytest.mark.parametrize("task", MAKERS)
def test_a_scripted_controller_solves_the_task(task: str) -> None:
    env = make(task)
    assert None not in [solve(env, task, seed) for seed in (1, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("task", MAKERS)
def test_a_scripted_controller_solves_nearly_every_episode(task: str) -> None:
    env = make(task)
    found = [solve(env, task, seed) for seed in range(LONG)]
    steps = [step for step in found if step is not None]
    failed = [seed for seed, step in enumerate(found) if step is None]
    print(f"{task}: {len(steps)} of {LONG} solved, after {mean(steps):.1f} env steps, {failed=}")
    assert len(steps) >= 0.95 * LONG


@pytest.mark.parametrize("task", MAKERS)
def test_a_gripper_that_stays_solves_nothing(task: str) -> None:
    """The control: else success would say little."""
    env = make(task)
    for seed in (1, 2):
        env.reset(seed=seed)
        truncated = False
        while not truncated:
            *_, truncated, info = env.step(np.zeros(4, dtype=np.float32))
        assert not info["is_success"]
