"""The policy: input encoder and actor together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..relay import Layout, Relay
from .actor_critic import Actor, NetworkSizes
from .encoder import InputEncoder


class RelayPolicy(nn.Module):
    """Deterministic actions for any subtask of a relay.

    Args:
        encoder: see :class:`InputEncoder`.
        actor: the network that turns its inputs into actions.
    """

    def __init__(self, encoder: InputEncoder, actor: Actor) -> None:
        super().__init__()
        self.encoder = encoder
        self.actor = actor

    def to_dict(self) -> dict[str, Any]:
        """Everything but the weights, as plain types."""
        layers = self.actor.net.layers()
        sizes = {
            "actions": self.actor.action_size,
            "hidden_size": layers[0][0].shape[-1],
            "hidden_layers": len(layers) - 1,
        }
        encoder = self.encoder
        return {
            "relay": encoder.relay.to_dict(),
            "layout": encoder.layout.to_list(),
            "encoder": dict(encoder.options),
            "actor": sizes,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RelayPolicy:
        """An untrained policy like the one that :meth:`to_dict` described."""
        relay, layout = Relay.from_dict(values["relay"]), Layout(tuple(values["layout"]))
        encoder, sizes = InputEncoder(relay, layout, **values["encoder"]), values["actor"]
        return cls(encoder, Actor(NetworkSizes(encoder.size, **sizes)))

    @property
    def relay(self) -> Relay:
        return self.encoder.relay

    def inputs(
        self, observation: Tensor, achieved: Tensor, desired: Tensor, subtask: Tensor | int
    ) -> Tensor:
        """Network inputs [*, I] for states with original goals, each under its subtask.

        Where objects may be brought in any order, give states that :meth:`numbered` returned.

        Args:
            observation: [*, O].
            achieved: positions of the points, [*, P, 3] (metres).
            desired: desired goals of the task, [*, N, 3] (metres).
            subtask: int64 [*], or one for all.
        """
        observation, achieved = observation.float(), achieved.float()
        goals = self.relay.goals(achieved, desired.float(), subtask)
        return self.encoder(observation, achieved, goals, subtask)

    def forward(
        self, observation: Tensor, achieved: Tensor, desired: Tensor, subtask: Tensor | int
    ) -> Tensor:
        """Actions [*, A] in [-1, 1] under given subtasks; see :meth:`inputs`."""
        inputs = self.inputs(observation, achieved, desired, subtask)
        actions = self.actor(inputs.reshape(-1, inputs.shape[-1]))
        return actions.view(*inputs.shape[:-1], actions.shape[-1])

    def act(self, observation: Tensor, achieved: Tensor, desired: Tensor) -> Tensor:
        """Actions [*, A] in [-1, 1] for the whole task, see ``Relay.serving``."""
        states = self.numbered(observation.float(), achieved.float(), desired.float())
        return self(*states, self.relay.serving(*states[1:]))

    def numbered(
        self, observation: Tensor, achieved: Tensor, desired: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See ``InputEncoder.numbered``."""
        return self.encoder.numbered(observation, achieved, desired)
