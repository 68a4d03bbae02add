"""The same work by others, in float32: TorchRL's TD3 update and stable-baselines3's training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.data import Bounded
from torchrl.modules import ValueOperator
from torchrl.objectives import SoftUpdate, TD3Loss


def perceptron(inputs: int, outputs: int, model: Mapping[str, Any], *last: nn.Module) -> nn.Module:
    """ReLU perceptron of the sizes in ``model``: one ``nn.Linear`` after the other."""
    sizes = [inputs, *[model["hidden_size"]] * model["hidden_layers"]]
    hidden = [layer for n, m in pairwise(sizes) for layer in (nn.Linear(n, m), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs), *last)


class TorchRLTD3:
    """TorchRL's ``TD3Loss``, ``SoftUpdate`` and Adam, as in its TD3 example.

    Args:
        inputs, actions: lengths of a network input and of an action.
        model: options of ``RHERModule``.
    """

    def __init__(self, inputs: int, actions: int, model: Mapping[str, Any]) -> None:
        self.policy_delay = model["policy_delay"]
        self.loss = TD3Loss(
            TensorDictModule(perceptron(inputs, actions, model, nn.Tanh()), ["inputs"], ["action"]),
            ValueOperator(_Joined(inputs + actions, model), ["inputs", "action"]),
            action_spec=Bounded(-1.0, 1.0, (actions,)),
            policy_noise=model["policy_noise"],
            noise_clip=model["noise_clip"],
            loss_function="l2",
            delay_actor=True,
            delay_qvalue=True,
        )
        self.loss.make_value_estimator(gamma=model["gamma"])
        self.soft_update = SoftUpdate(self.loss, tau=model["tau"])
        rate = model["learning_rate"]
        critics = self.loss.qvalue_network_params.flatten_keys().values()
        actor = self.loss.actor_network_params.flatten_keys().values()
        self.critic_optimizer = torch.optim.Adam(list(critics), lr=rate)
        self.actor_optimizer = torch.optim.Adam(list(actor), lr=rate)

    @staticmethod
    def keys(batches: Mapping[str, Tensor]) -> TensorDict:
        """Batches of ours [U, B] under TorchRL's keys."""
        following = {"inputs": batches["next_inputs"], "reward": batches["reward"].unsqueeze(-1)}
        for name in ("done", "terminated"):
            following[name] = batches["terminated"].unsqueeze(-1)
        now = {"inputs": batches["inputs"], "action": batches["action"]}
        return TensorDict({**now, "next": following}, batch_size=batches["reward"].shape)

    def learn(self, batches: TensorDict) -> None:
        """An update on each of the batches [U, B] from :meth:`keys`."""
        for number, batch in enumerate(batches.unbind(0), start=1):
            _descend(self.critic_optimizer, self.loss.value_loss(batch)[0])
            if number % self.policy_delay == 0:
                _descend(self.actor_optimizer, self.loss.actor_loss(batch)[0])
            self.soft_update.step()


class _Joined(nn.Module):
    """A critic of (inputs, action)."""

    def __init__(self, size: int, model: Mapping[str, Any]) -> None:
        super().__init__()
        self.net = perceptron(size, 1, model)

    def forward(self, inputs: Tensor, action: Tensor) -> Tensor:
        return self.net(torch.cat([inputs, action], dim=-1))


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def train_sb3(
    task: str, model: Mapping[str, Any], batch_size: int, episodes: int, updates_per_episode: int
) -> tuple[float, int]:
    """TD3 and HerReplayBuffer of stable-baselines3: seconds, and the updates that were done.

    Args:
        task: a Fetch id of Gymnasium.
        model: options of ``RHERModule`` that both have.
        batch_size: samples in a batch.
        episodes: to collect.
        updates_per_episode: updates after each episode.
    """
    import gymnasium
    import numpy as np
    from stable_baselines3 import TD3, HerReplayBuffer
    from stable_baselines3.common.noise import NormalActionNoise

    begin, env = time.perf_counter(), gymnasium.make(task)
    assert env.spec is not None and env.spec.max_episode_steps is not None
    length, actions = env.spec.max_episode_steps, env.action_space.shape
    learner = TD3(
        "MultiInputPolicy",
        env,
        learning_rate=model["learning_rate"],
        batch_size=batch_size,
        gamma=model["gamma"],
        tau=model["tau"],
        policy_delay=model["policy_delay"],
        train_freq=(1, "episode"),
        gradient_steps=updates_per_episode,
        learning_starts=length - 1,
        action_noise=NormalActionNoise(np.zeros(actions), np.full(actions, 0.2)),
        replay_buffer_class=HerReplayBuffer,
        policy_kwargs={"net_arch": [model["hidden_size"]] * model["hidden_layers"]},
        device="cpu",
        seed=0,
    )
    learner.learn(episodes * length)
    return time.perf_counter() - begin, learner._n_updates
