"""What a job costs at least: its env steps by MuJoCo alone, and the matrix products of its updates.

Neither observes, relabels, samples, adds or activates anything.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor

from benchmarks.learning.settings import Settings
from benchmarks.throughput.environments import physics_alone
from benchmarks.throughput.rounds import Contestant, Rate, interleave
from benchmarks.throughput.updates import make_learner, precision_of
from rher_pl.choices import Engine

ENVS, UPDATES, ROUNDS = 16, 40, 20


class Layer(NamedTuple):
    """Matrices of a layer with N samples: inputs [N, I], weights [I, O], outputs [N, O]."""

    inputs: Tensor
    weights: Tensor
    outputs: Tensor


def floor_rates(task: str, settings: Settings, batch_size: int, threads: int) -> dict[str, Rate]:
    """Env steps and updates per second at the floor, taken in turns in one process."""
    length = gymnasium.spec(task).max_episode_steps
    assert length is not None
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (length, ENVS, 4)).astype(np.float32)
    torch.set_num_threads(threads)
    contestants = {
        "env_steps": physics_alone(task, actions, threads),
        "updates": products_alone(settings, batch_size),
    }
    return interleave(contestants, ROUNDS)


def products_alone(settings: Settings, batch_size: int) -> Contestant:
    """The matrix products of ``UPDATES`` updates of TD3 with two critics."""
    learner = make_learner(settings, Engine.eager, precision_of(settings))
    sizes, dtype = learner.sizes, learner.compute_type or torch.float32
    hidden = [sizes.hidden_size] * sizes.hidden_layers
    actor = _layers([sizes.inputs, *hidden, sizes.actions], batch_size, dtype)
    critic = _layers([sizes.inputs + sizes.actions, *hidden, 1], batch_size, dtype)
    every = learner.policy_delay

    @torch.no_grad()
    def work() -> int:
        for number in range(1, UPDATES + 1):
            _forward(actor)  # target actor
            for _ in range(2):  # target critics and critics
                _forward(critic)
                _forward(critic)
                _gradients(critic)
                _backward(critic[1:])
            if number % every == 0:
                _forward(actor)
                _forward(critic)
                _backward(critic)
                _gradients(actor)
                _backward(actor[1:])
        return UPDATES

    return work


def _layers(widths: list[int], samples: int, dtype: torch.dtype) -> list[Layer]:
    return [
        Layer(*(torch.rand(shape).to(dtype) for shape in ((samples, i), (i, o), (samples, o))))
        for i, o in pairwise(widths)
    ]


def _forward(layers: list[Layer]) -> None:
    for inputs, weights, _ in layers:
        inputs @ weights


def _gradients(layers: list[Layer]) -> None:
    """Of the weights."""
    for inputs, _, outputs in layers:
        inputs.T @ outputs


def _backward(layers: list[Layer]) -> None:
    """Gradients of the inputs."""
    for _, weights, outputs in layers:
        outputs @ weights.T
