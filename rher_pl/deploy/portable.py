"""A trained policy as one plain torch module on Gymnasium's observations.

It is the live policy's own code: this file, ``relay/`` and ``networks/`` need nothing but torch,
and travel with an exported model. Hence the relative imports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.policy import RelayPolicy

INPUTS = ("observation", "achieved_goal", "desired_goal")
"""Names of the inputs, in order: the keys of a Gymnasium goal environment."""


class PortablePolicy(nn.Module):
    """Noise-free actions of the whole task: each state is served by one subtask.

    Args:
        policy: the live policy; its networks are used, not copied.

    Attributes:
        gripper_columns: of the observation; where it holds the gripper's whole position, that is
            read from there, and ``achieved_goal`` holds the objects only, as in Gymnasium's Fetch.
            Else ``achieved_goal`` holds all points, gripper first.
    """

    def __init__(self, policy: RelayPolicy) -> None:
        super().__init__()
        self.policy = policy
        layout = policy.encoder.layout
        columns = [c for c in layout.columns_of("gripper") if layout.axis(c)]
        self.gripper_columns = sorted(columns, key=layout.axis)

    @property
    def gripper_in_observation(self) -> bool:
        """Whether the gripper's position is read from the observation."""
        return self.policy.relay.reach and len(self.gripper_columns) == 3

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

    def take(self, values: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """The inputs in order, float32: a robot must not move on a wrong vector.

        Args:
            values: an observation as Gymnasium gives it, numbers [size] or [N, size] by name; other
                keys are left alone.

        Raises:
            ValueError: one line, for a missing name, another length, or what is not finite.
        """
        try:
            given = {name: values[name] for name in INPUTS}
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(
                f"an observation needs {', '.join(INPUTS)}: {error} is wrong"
            ) from error
        taken = [_numbers(name, value) for name, value in given.items()]
        for tensor, (name, size) in zip(taken, self.sizes.items(), strict=True):
            if tensor.dim() not in (1, 2) or tensor.shape[-1] != size:
                raise ValueError(
                    f"{name} has shape {list(tensor.shape)}: this policy takes [{size}], or "
                    f"[N, {size}] for N states"
                )
            if tensor.shape[:-1] != taken[0].shape[:-1]:
                raise ValueError(
                    f"{name} is of {list(tensor.shape[:-1])} states, {INPUTS[0]} of "
                    f"{list(taken[0].shape[:-1])}: give as many of each"
                )
            if not tensor.isfinite().all():
                raise ValueError(f"{name} holds NaN or infinite numbers: no action follows from it")
        return tuple(taken)

    def forward(self, observation: Tensor, achieved_goal: Tensor, desired_goal: Tensor) -> Tensor:
        """Noise-free actions; lengths of the inputs are in :attr:`sizes`, float64 will do.

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
            achieved_goal = torch.cat(
                [observation[..., self.gripper_columns], achieved_goal], dim=-1
            )
        return achieved_goal.unflatten(-1, (self.policy.relay.num_points, 3))

    def __repr__(self) -> str:
        names = ", ".join(self.policy.relay.names)
        return f"PortablePolicy({names}; {', '.join(f'{k} {v}' for k, v in self.sizes.items())})"


def _numbers(name: str, value: Any) -> Tensor:
    try:
        return torch.as_tensor(value).detach().to("cpu", torch.float32)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is a {type(value).__name__} that holds no numbers") from error


def save_portable(policy: PortablePolicy, path: Any) -> None:
    """Write a policy to a file of tensors and plain types."""
    live = policy.policy
    torch.save({"settings": live.to_dict(), "tensors": live.state_dict()}, path)


def load_portable(path: Any) -> PortablePolicy:
    """Read what :func:`save_portable` wrote, without running code from it."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    policy = RelayPolicy.from_dict(content["settings"])
    policy.load_state_dict(content["tensors"])
    return PortablePolicy(policy).eval().requires_grad_(False)
