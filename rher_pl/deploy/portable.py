"""A trained policy as one plain torch module on Gymnasium's observations.

It is the live policy's own code: this file, ``relay/`` and ``networks/`` need nothing but torch, and
travel with an exported model. Hence the relative imports.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..networks.policy import RelayPolicy
from ..relay import Layout

INPUTS = ("observation", "achieved_goal", "desired_goal")
"""Names of the inputs, in order: the keys of a Gymnasium goal environment."""


class PortablePolicy(nn.Module):
    """Noise-free actions of the whole task: each state is served by one subtask.

    Args:
        policy: the live policy; its networks are used, not copied.
        gripper_in_observation: ``achieved_goal`` holds the objects only, and the gripper's position
            is read from the observation, as in Gymnasium's Fetch. Else it holds all points.
    """

    def __init__(self, policy: RelayPolicy, gripper_in_observation: bool) -> None:
        super().__init__()
        self.policy = policy
        self.gripper_in_observation = gripper_in_observation and policy.relay.reach
        self._gripper = _gripper_columns(policy.encoder.layout) if policy.relay.reach else []

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each input, by name."""
        relay = self.policy.relay
        points = relay.num_points - self.gripper_in_observation
        observation = len(self.policy.encoder.layout)
        return dict(zip(INPUTS, (observation, 3 * points, 3 * relay.num_desired), strict=True))

    @property
    def action_size(self) -> int:
        """A, length of an action."""
        return self.policy.actor.action_size

    def forward(self, observation: Tensor, achieved_goal: Tensor, desired_goal: Tensor) -> Tensor:
        """Noise-free actions; lengths of the inputs are in :attr:`sizes`.

        Args:
            observation: [*, O].
            achieved_goal: the objects' positions, or all points', [*, 3 N] or [*, 3 P] (metres).
            desired_goal: [*, 3 N] (metres).

        Returns:
            Actions [*, A] in [-1, 1].
        """
        points = self.points(observation, achieved_goal)
        desired = desired_goal.unflatten(-1, (self.policy.relay.num_desired, 3))
        return self.policy.act(observation, points, desired)

    def points(self, observation: Tensor, achieved_goal: Tensor) -> Tensor:
        """Positions of all points, gripper first, [*, P, 3] (metres)."""
        if self.gripper_in_observation:
            achieved_goal = torch.cat([observation[..., self._gripper], achieved_goal], dim=-1)
        return achieved_goal.unflatten(-1, (self.policy.relay.num_points, 3))

    def __repr__(self) -> str:
        names = ", ".join(self.policy.relay.names)
        return f"PortablePolicy({names}; {', '.join(f'{k} {v}' for k, v in self.sizes.items())})"


def _gripper_columns(layout: Layout) -> list[int]:
    return [c for c in layout.columns_of("gripper") if layout.axis(c)]


def save_portable(policy: PortablePolicy, path: Any) -> None:
    """Write a policy to a file of tensors and plain types."""
    content = {
        "settings": policy.policy.to_dict(),
        "gripper_in_observation": policy.gripper_in_observation,
        "tensors": policy.policy.state_dict(),
    }
    torch.save(content, path)


def load_portable(path: Any) -> PortablePolicy:
    """Read what :func:`save_portable` wrote, without running code from it."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    policy = RelayPolicy.from_dict(content["settings"])
    policy.load_state_dict(content["tensors"])
    return PortablePolicy(policy, content["gripper_in_observation"]).eval().requires_grad_(False)
