"""A trained policy as one plain torch module: normaliser, relay encoding and actor.

This file imports nothing but torch, so that it travels with a logged model and a policy can be
used where this package is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from rher_pl.networks.policy import RelayPolicy

INPUTS = ("observation", "achieved_goal", "desired_goal")
"""Names of the inputs, in order: the keys of a Gymnasium goal environment."""


class PortablePolicy(nn.Module):
    """Noise-free actions of the whole task (the relay's last subtask), float32.

    Shapes: ``*`` any leading shape, ``P`` points of the relay (gripper first), ``D`` desired goals.

    Args:
        settings: what :attr:`settings` holds; plain numbers and lists.
        tensors: buffers by name; see :meth:`of`.
    """

    def __init__(self, settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.settings = settings
        self.num_points: int = settings["num_points"]
        self.num_desired: int = settings["num_desired"]
        self.gripper_in_observation: bool = settings["gripper_in_observation"]
        self.relative_goals: bool = settings["relative_goals"]
        self.depth: int = settings["depth"]
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.detach().clone())

    @classmethod
    def of(cls, policy: RelayPolicy, gripper_in_observation: bool) -> PortablePolicy:
        """The last subtask of a live policy.

        Args:
            gripper_in_observation: the task's ``achieved_goal`` leaves out the gripper, whose
                position begins the observation instead; see ``Task``.
        """
        from rher_pl.networks.policy import CLIP

        relay, encoder = policy.relay, policy.encoder
        last = torch.tensor(relay.last)
        # Where each slot comes from in [padding | desired goals | points]: ask with the numbers
        # of the candidates in place of their positions.
        number = torch.arange(1.0, 1 + relay.num_desired + relay.num_points)
        number = number.unsqueeze(-1).expand(-1, 3)
        source = relay.goals(number[relay.num_desired :], number[: relay.num_desired], last)
        layers = policy.actor.net.layers()
        tensors = {
            "source": source[:, 0].long(),
            "active": relay.active_slots[relay.last].float().unsqueeze(-1),
            "subtask": nn.functional.one_hot(last, relay.num_subtasks).float(),
            "observation_columns": encoder.get_buffer("_observed"),
            "goal_columns": encoder.get_buffer("_goal"),
            "observation_shift": encoder.observations.shift,
            "observation_scale": encoder.observations.scale,
            "goal_shift": encoder.goals.shift,
            "goal_scale": encoder.goals.scale,
        }
        for index, (weight, bias) in enumerate(layers):
            tensors |= {f"weight_{index}": weight[0], f"bias_{index}": bias[0, 0]}
        settings = {
            "observation_size": encoder.observation_size,
            "num_points": relay.num_points,
            "num_desired": relay.num_desired,
            "gripper_in_observation": gripper_in_observation,
            "relative_goals": relay.relative_goals,
            "resolution": encoder.resolution,
            "clip": CLIP,
            "depth": len(layers),
        }
        return cls(settings, tensors).eval()

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each input, by name."""
        points = self.num_points - self._gripper_apart
        observation = self.settings["observation_size"]
        return dict(zip(INPUTS, (observation, 3 * points, 3 * self.num_desired), strict=True))

    @property
    def _gripper_apart(self) -> bool:
        return self.gripper_in_observation and self.num_points > 1

    def forward(self, observation: Tensor, achieved_goal: Tensor, desired_goal: Tensor) -> Tensor:
        """Noise-free actions; lengths of the inputs are in :attr:`sizes`.

        Args:
            observation: [*, O].
            achieved_goal: the objects' positions, or all points', [*, 3 (P - 1)] or [*, 3 P] (m).
            desired_goal: [*, 3 D] (metres).

        Returns:
            Actions [*, A] in [-1, 1].
        """
        desired = desired_goal.unflatten(-1, (self.num_desired, 3))
        hidden = self._inputs(observation, self.points(observation, achieved_goal), desired)
        for index in range(self.depth):
            weight, bias = self.get_buffer(f"weight_{index}"), self.get_buffer(f"bias_{index}")
            hidden = hidden @ weight + bias
            hidden = hidden.tanh() if index == self.depth - 1 else hidden.relu()
        return hidden

    def points(self, observation: Tensor, achieved_goal: Tensor) -> Tensor:
        """Positions of all points, gripper first, [*, P, 3] (metres)."""
        points = achieved_goal
        if self._gripper_apart:
            points = torch.cat([observation[..., :3], achieved_goal], dim=-1)
        return points.unflatten(-1, (self.num_points, 3))

    def _inputs(self, observation: Tensor, points: Tensor, desired: Tensor) -> Tensor:
        """What the actor sees, [*, I]; see ``Relay.encode`` and ``InputEncoder``."""
        buffer, settings = self.get_buffer, self.settings
        padding = torch.zeros_like(points[..., :1, :])
        slots = torch.cat([padding, desired, points], dim=-2)
        slots = slots.index_select(-2, buffer("source"))
        goal, fine = slots.flatten(-2), slots[..., :0, 0]
        if self.relative_goals:
            from_gripper = points[..., 1:, :] - points[..., :1, :]
            relative = torch.cat([(slots - points) * buffer("active"), from_gripper], dim=-2)
            goal = torch.cat([goal, relative.flatten(-2)], dim=-1)
            fine = relative.flatten(-2) / settings["resolution"]
        parts = []
        for name, value in (("observation", observation), ("goal", goal)):
            value = value.index_select(-1, buffer(f"{name}_columns"))
            parts.append((value - buffer(f"{name}_shift")) * buffer(f"{name}_scale"))
        subtask = buffer("subtask").expand(*observation.shape[:-1], -1)
        inputs = torch.cat([*parts, fine, subtask], dim=-1)
        return inputs.clamp(-settings["clip"], settings["clip"])


def save_portable(policy: PortablePolicy, path: Any) -> None:
    """Write a policy to a file of tensors and plain types."""
    torch.save({"settings": policy.settings, "tensors": dict(policy.named_buffers())}, path)


def load_portable(path: Any) -> PortablePolicy:
    """Read what :func:`save_portable` wrote, without running code from it."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return PortablePolicy(content["settings"], content["tensors"]).eval()
