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
from ..relay import Interface

INPUTS = ("observation", "achieved_goal", "desired_goal")
"""Names of the inputs, in order: the keys of a Gymnasium goal environment."""


class PortablePolicy(nn.Module):
    """Noise-free actions of the whole task; ``Relay.serving`` says which subtask acts in a state.

    Args:
        policy: the live policy; its networks are used, not copied.
        interface: of the environment; by default that of Gymnasium's Fetch.
    """

    def __init__(self, policy: RelayPolicy, interface: Interface | None = None) -> None:
        super().__init__()
        self.policy = policy
        self.interface = interface or Interface.usual(policy.relay, policy.encoder.layout)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each input, by name."""
        goals = self.interface.achieved_size, self.interface.goal_size
        return dict(zip(INPUTS, (len(self.policy.encoder.layout), *goals), strict=True))

    @property
    def action_size(self) -> int:
        """A, length of an action."""
        return self.policy.actor.action_size

    def take(self, values: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """Check the inputs, as a robot must not move on a wrong vector; returns them, float32.

        Args:
            values: an observation as Gymnasium gives it, numbers [size] or [N, size] by name; other
                keys are ignored.

        Raises:
            ValueError: for a missing name, a wrong length, or numbers that are not finite.
        """
        try:
            given = {name: values[name] for name in INPUTS}
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(
                f"an observation needs {', '.join(INPUTS)}: {error} is missing"
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
        """Noise-free actions; :attr:`sizes` has the lengths of the inputs, which may be float64.

        Args:
            observation: [*, O].
            achieved_goal: [*, size], as the environment gives it, see ``Interface`` (metres).
            desired_goal: [*, size], likewise.

        Returns:
            Actions [*, A] as the environment takes them.
        """
        points = self.interface.points(observation, achieved_goal)
        desired = self.interface.goals(desired_goal)
        return self.interface.stretched(self.policy.act(observation, points, desired))

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
    content = {
        "settings": live.to_dict(),
        "interface": policy.interface.to_dict(),
        "tensors": live.state_dict(),
    }
    torch.save(content, path)


def load_portable(path: Any) -> PortablePolicy:
    """Read what :func:`save_portable` wrote, without running code from it."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    policy = RelayPolicy.from_dict(content["settings"])
    policy.load_state_dict(content["tensors"])
    interface = Interface.from_dict(content["interface"])
    return PortablePolicy(policy, interface).eval().requires_grad_(False)
