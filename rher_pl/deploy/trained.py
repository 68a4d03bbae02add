"""Trained policies from files: the one place that opens a checkpoint to use what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.deploy.portable import INPUTS, PortablePolicy
from rher_pl.deploy.pretrained import known_policies, policy_file
from rher_pl.errors import ConfigError, require
from rher_pl.networks.policy import RelayPolicy
from rher_pl.relay import Relay
from rher_pl.tasks import Task, get_task
from rher_pl.training.module import RHERModule

EXPLORATION = (
    "guide_share",
    "random_share",
    "exploration_noise",
    "reached_distance",
    "fading_guide",
)
"""Settings of the behavior policy that a trained policy remembers."""
POLICY_PARTS = {"policy.encoder.": "encoder.", "averaged_actor.": "actor."}
"""Which tensors of a checkpoint make up the evaluated policy, by prefix there and here."""


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy that was trained, in float32, and where it comes from.

    Args:
        task: what it was trained on.
        policy: the live policy, for any subtask.
        portable: its last subtask as a plain module.
        content: what was read, in the layout of a checkpoint.
        source: file or name, for messages.
    """

    task: Task
    policy: RelayPolicy
    portable: PortablePolicy
    content: Mapping[str, Any]
    source: str

    @classmethod
    def of(cls, policy: RelayPolicy, content: Mapping[str, Any], source: str) -> TrainedPolicy:
        """Wrap a live policy; ``content`` has at least ``rher_pl``, as in a checkpoint."""
        task = get_task(content["rher_pl"]["task"])
        portable = PortablePolicy(policy, task.gymnasium_id is not None)
        return cls(task, policy, portable, content, source)

    @property
    def relay(self) -> Relay:
        return self.policy.relay

    @property
    def counters(self) -> dict[str, int]:
        """``env_steps``, ``episodes`` and ``updates`` that it was trained for."""
        return {
            name: self.content["rher_pl"][name] for name in ("env_steps", "episodes", "updates")
        }

    @property
    def exploration(self) -> dict[str, Any]:
        """The settings named in ``EXPLORATION`` that it was trained with."""
        data = self.content.get("datamodule_hyper_parameters", {})
        return {name: data[name] for name in EXPLORATION if name in data}

    @torch.no_grad()
    def __call__(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Action [A] for an observation of the Gymnasium environment, or [N, A] for a batch."""
        values = [torch.as_tensor(observation[key], dtype=torch.float32) for key in INPUTS]
        return self.portable(*values).numpy()


def load_policy(name: str | Path) -> TrainedPolicy:
    """Load a policy from a checkpoint, or one that comes with the package by its name.

    Neither replay content nor optimizers are read, and no code from the file is run.

    Args:
        name: path of a checkpoint, or for example ``"push"``.

    Raises:
        ConfigError: if there is no such file or policy, or if it is damaged.
    """
    path = Path(name)
    if not path.is_file():
        require(
            str(name) in known_policies(),
            f"no checkpoint {name}: give a .ckpt file, or one of the policies that come with "
            f"the package: {', '.join(known_policies()) or 'none'}",
        )
        path = policy_file(str(name))
    content = read_content(path)
    with torch.random.fork_rng(devices=[]):  # the caller's random state is not ours to move
        module = build_module(content, path)
    policy = module.evaluated_policy
    try:
        policy.load_state_dict(policy_tensors(content["state_dict"]))
    except (KeyError, RuntimeError) as error:
        raise ConfigError(
            f"{path} holds other networks: another version of rher_pl wrote it"
        ) from error
    return TrainedPolicy.of(policy.eval().requires_grad_(False), content, str(name))


def build_module(content: Mapping[str, Any], path: Path) -> RHERModule:
    """A module of the sizes that a checkpoint was made with, untrained."""
    options = dict(content["hyper_parameters"])
    # Lightning adds the import path of a factory; what a file names is never called.
    options = {name: value for name, value in options.items() if not name.startswith("_")}
    options["compiled"] = False  # nothing is updated here, and there may be no compiler
    try:
        return RHERModule(**options)
    except TypeError as error:
        raise ConfigError(
            f"{path} has other options: another version of rher_pl wrote it"
        ) from error


def policy_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The evaluated policy's own tensors among those of a checkpoint, by their name in it."""
    return {
        ours + name.removeprefix(theirs): value
        for name, value in state.items()
        for theirs, ours in POLICY_PARTS.items()
        if name.startswith(theirs)
    }


def read_content(path: Path) -> dict[str, Any]:
    """Everything in a checkpoint, on the CPU.

    Raises:
        ConfigError: if the file is damaged, or if another program wrote it.
    """
    require(path.is_file(), f"no checkpoint {path}: give the path of a .ckpt file")
    content = read_checkpoint_file(path)
    ours = content.get("rher_pl") if isinstance(content, dict) else None
    require(
        isinstance(ours, dict) and {"hyper_parameters", "state_dict"} <= content.keys(),
        f"{path} was not written by rher_pl: give one of its .ckpt files",
    )
    return content


def policy_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint cut down to what the policy needs, in the same layout."""
    data = dict(content.get("datamodule_hyper_parameters", {}))
    ours = {key: value for key, value in content["rher_pl"].items() if key != "rng_state"}
    kept = tuple(POLICY_PARTS)
    state = {k: v.clone() for k, v in content["state_dict"].items() if k.startswith(kept)}
    return {
        "rher_pl": ours,
        "hyper_parameters": {k: v for k, v in content["hyper_parameters"].items() if k[0] != "_"},
        "datamodule_hyper_parameters": {k: data[k] for k in EXPLORATION if k in data},
        "state_dict": state,
    }
