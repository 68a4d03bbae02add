"""The update as others write it: plain eager PyTorch, and TorchRL's TD3Loss. Both in fp32."""

from __future__ import annotations

import copy
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

from rher_pl.learner import losses


def perceptron(inputs: int, outputs: int, model: Mapping[str, Any], *last: nn.Module) -> nn.Module:
    """ReLU perceptron of the sizes in ``model``: one ``nn.Linear`` after the other."""
    sizes = [inputs, *[model["hidden_size"]] * model["hidden_layers"]]
    hidden = [layer for n, m in pairwise(sizes) for layer in (nn.Linear(n, m), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs), *last)


class EagerTD3:
    """TD3 with a network for each critic, autograd's ``backward`` and Adam as PyTorch has it.

    Args:
        inputs, actions: lengths of a network input and of an action.
        model: options of ``RHERModule``.
    """

    def __init__(self, inputs: int, actions: int, model: Mapping[str, Any]) -> None:
        self.model = model
        self.actor = perceptron(inputs, actions, model, nn.Tanh())
        self.critics = nn.ModuleList(perceptron(inputs + actions, 1, model) for _ in range(2))
        self.target_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.target_critics = copy.deepcopy(self.critics).requires_grad_(False)
        rate = model["learning_rate"]
        self.critic_optimizer = torch.optim.Adam(self.critics.parameters(), lr=rate)
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=rate)

    def update(self, sample: Mapping[str, Tensor], number: int) -> None:
        """Update number ``number`` (from 1) on a batch [B]."""
        model = self.model
        with torch.no_grad():
            following = sample["next_inputs"]
            action = self.target_actor(following)
            action = losses.smoothed_action(action, sample["noise"], model["noise_clip"])
            next_q = self._values(self.target_critics, following, action)
            target = losses.target_q(sample["reward"], sample["terminated"], next_q, model["gamma"])
        q = self._values(self.critics, sample["inputs"], sample["action"])
        _descend(self.critic_optimizer, losses.critic_loss(q, target))
        if number % model["policy_delay"] == 0:
            action = self.actor(sample["inputs"])
            q = self.critics[0](torch.cat([sample["inputs"], action], dim=-1))
            _descend(self.actor_optimizer, losses.actor_loss(q, action, model["action_l2"]))
        self._move_targets()

    @staticmethod
    def _values(critics: nn.ModuleList, inputs: Tensor, action: Tensor) -> Tensor:
        x = torch.cat([inputs, action], dim=-1)
        return torch.stack([critic(x).squeeze(-1) for critic in critics])

    @torch.no_grad()
    def _move_targets(self) -> None:
        for target, source in (
            (self.target_actor, self.actor),
            (self.target_critics, self.critics),
        ):
            for old, new in zip(target.parameters(), source.parameters()):
                old.lerp_(new, self.model["tau"])


class TorchRLTD3:
    """TorchRL's ``TD3Loss``, ``SoftUpdate`` and Adam, as in its TD3 example.

    Args:
        inputs, actions, model: see :class:`EagerTD3`.
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
    def keys(sample: Mapping[str, Tensor]) -> TensorDict:
        """A batch of ours [B] under TorchRL's keys."""
        following = {"inputs": sample["next_inputs"], "reward": sample["reward"].unsqueeze(-1)}
        for name in ("done", "terminated"):
            following[name] = sample["terminated"].unsqueeze(-1)
        now = {"inputs": sample["inputs"], "action": sample["action"]}
        return TensorDict({**now, "next": following}, batch_size=sample["reward"].shape)

    def update(self, sample: TensorDict, number: int) -> None:
        """Update number ``number`` (from 1) on a batch [B] from :meth:`keys`."""
        _descend(self.critic_optimizer, self.loss.value_loss(sample)[0])
        if number % self.policy_delay == 0:
            _descend(self.actor_optimizer, self.loss.actor_loss(sample)[0])
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
