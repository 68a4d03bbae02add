"""Trained policies from files; only this module opens a checkpoint to use its policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.checkpoints.policy import StoredPolicy, read_policy
from rher_pl.deploy.hub import HubAddress, fetch_policy, is_hub_address
from rher_pl.deploy.portable import PortablePolicy
from rher_pl.deploy.pretrained import known_policies, policy_file
from rher_pl.errors import ConfigError, require
from rher_pl.evaluation import FIRST_SEED
from rher_pl.gymnasium_task import from_checkpoint
from rher_pl.networks.actor_critic import Actor, NetworkSizes
from rher_pl.networks.encoder import InputEncoder
from rher_pl.networks.policy import RelayPolicy
from rher_pl.paths import is_file
from rher_pl.relay import Interface, Layout, Relay
from rher_pl.tasks import Points, Task, get_task

if TYPE_CHECKING:
    from rher_pl.deploy.measure import Evaluation

SEEN = ("relative_goals", "absolute_positions", "roles", "stay")
"""Options of the model that say what the networks see."""


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy that was trained, in float32, and where it comes from.

    Args:
        policy: the live policy, for any subtask.
        portable: the whole task as a plain module on Gymnasium's observations.
        stored: what the checkpoint says of it.
        source: file or name, for messages.
    """

    policy: RelayPolicy
    portable: PortablePolicy
    stored: StoredPolicy
    source: str

    @property
    def task_name(self) -> str:
        """Name of the task that it was trained on, which need not be registered here."""
        return self.stored.entry.task

    @property
    def task(self) -> Task:
        """The task that it was trained on, which can build its environment.

        Raises:
            ConfigError: if it is not registered here, or needs a module that was not imported.
        """
        entry = self.stored.entry
        choice = entry.task if entry.written is None else from_checkpoint(entry.written)
        return get_task(choice).varied(self.relay.epsilon, self.stored.max_episode_steps)

    @property
    def relay(self) -> Relay:
        return self.policy.relay

    @property
    def counters(self) -> dict[str, int]:
        """``env_steps``, ``episodes`` and ``updates`` that it was trained for."""
        return self.stored.entry.counters

    @torch.no_grad()
    def __call__(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Action [A] for an observation of the Gymnasium environment, or [N, A] for a batch; in the
        environment's own bounds.

        Raises:
            ValueError: for an input of a wrong length, or with NaN; see ``PortablePolicy.take``.
        """
        action: NDArray[np.float32] = self.portable(*self.portable.take(observation)).numpy()
        return action

    def evaluate(
        self,
        episodes: int = 100,
        seed: int = FIRST_SEED,
        threads: int = 1,
        goal: Points | None = None,
        objects: Points | None = None,
    ) -> Evaluation:
        """Play noise-free episodes of its task, as ``rher-pl evaluate`` does.

        Args:
            episodes: how many, at least 1.
            seed: of the first one; the next has the next seed.
            threads: that step simulations.
            goal: desired goals [D, 3] (metres) of every episode; None draws them.
            objects: positions of the objects [N, 3] (metres) at its start; None draws them.

        Raises:
            ConfigError: if its task is not registered here, or cannot start from that scene.
        """
        from rher_pl.deploy.measure import Evaluation, measure  # these need the simulators

        for name, number in (("episodes", episodes), ("threads", threads)):
            require(number >= 1, f"{name} must be at least 1, got {number}")
        task = self.task.starting(goal, objects)
        return Evaluation(measure(self, episodes, seed, threads, task))

    def __repr__(self) -> str:
        entry = self.stored.entry
        return f"TrainedPolicy({self.source}: {entry.task}, {entry.env_steps:,} env steps)"


def load_policy(name: str | Path) -> TrainedPolicy:
    """Load a policy from a checkpoint, from the Hugging Face Hub, or by the name of one that comes
    with the package.

    Neither replay content nor optimizers are read, no code from the file is run, and its task need
    not be registered here.

    Args:
        name: path of a checkpoint, or for example ``"push"``, ``"hf://user/name"``, or
            ``"hf://user/name@revision"`` for a branch, tag or commit.

    Raises:
        ConfigError: if there is no such file or policy, if it is damaged, or if the Hub cannot be
            reached for one that was not loaded before.
    """
    path, source = _find(name)
    stored = read_policy(read_checkpoint_file(path), source)
    policy = build_policy(stored).eval().requires_grad_(False)
    interface = stored.entry.interface
    portable = PortablePolicy(policy, None if interface is None else Interface.from_dict(interface))
    return TrainedPolicy(policy, portable, stored, str(name))


def _find(name: str | Path) -> tuple[Path, str]:
    """The file of a policy, and what it is called in messages."""
    if is_hub_address(name):
        return fetch_policy(HubAddress.read(str(name))), f"policy {name!s:.200}"
    if is_file(name):
        return Path(name), f"checkpoint {name!s:.200}"
    known = known_policies()
    require(
        str(name) in known,
        f"no checkpoint {name!s:.200}: give a .ckpt file, or one of the policies that come with "
        f"the package: {', '.join(known) or 'none'}",
    )
    return policy_file(str(name)), str(name)


def require_plausible(sizes: NetworkSizes, stored: StoredPolicy) -> None:
    """Refuse sizes with more weights than the file holds, before memory is taken for them.

    Raises:
        ValueError: if it holds fewer.
    """
    numbers = sum(tensor.numel() for tensor in stored.tensors.values())
    if (sizes.hidden_layers - 1) * sizes.hidden_size**2 > numbers or sizes.hidden_size > numbers:
        raise ValueError("its networks are larger than its weights")


def build_policy(stored: StoredPolicy) -> RelayPolicy:
    """The policy that a checkpoint holds.

    Raises:
        ConfigError: if its relay, layout, options and weights do not fit together.
    """
    entry, options = stored.entry, stored.options
    try:
        relay, layout = Relay.from_dict(entry.relay), Layout(tuple(entry.layout))
        encoder = InputEncoder(relay, layout, **{k: options[k] for k in SEEN if k in options})
        sizes = NetworkSizes(
            encoder.size, entry.action_size, options["hidden_size"], options["hidden_layers"]
        )
        require_plausible(sizes, stored)
        with torch.random.fork_rng(devices=[]):  # leave the caller's random state alone
            policy = RelayPolicy(encoder, Actor(sizes))
        policy.load_state_dict(stored.tensors)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{stored.source} holds a policy whose parts do not fit together "
            f"({' '.join(str(error).split())[:120]}): another version of rher_pl wrote it"
        ) from error
    return policy
