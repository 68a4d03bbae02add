"""The policy in a checkpoint: all that acting needs, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from rher_pl.checkpoints.layout import DATA, ENTRY, MODEL, TENSORS, Entry, read_entry
from rher_pl.checkpoints.section import Section
from rher_pl.errors import require

PARTS = {"encoder.": "encoder.", "td3.averaged_actor.": "actor."}
"""Tensors of the evaluated policy: prefix of their names in a checkpoint, and in the policy."""
EXPLORATION = (
    "guide_share",
    "random_share",
    "exploration_noise",
    "reached_distance",
    "fading_guide",
    "fading_noise",
    "hold_steps",
)
"""Options of the data module that are kept with a policy: how its run explored."""
STEPS = "max_episode_steps"
"""Another option of the data module that is kept."""


@dataclass(frozen=True)
class StoredPolicy:
    """The evaluated policy of a checkpoint.

    Args:
        entry: what it was trained on, and for how long.
        options: of the model, by name.
        exploration: those named in ``EXPLORATION`` that the file holds.
        tensors: of the policy by its own names, ``encoder.*`` and ``actor.*``; all finite.
        source: such as ``checkpoint last.ckpt``, for messages.
        max_episode_steps: env steps in an episode, if not the task's.
    """

    entry: Entry
    options: dict[str, Any]
    exploration: dict[str, Any]
    tensors: dict[str, Tensor]
    source: str
    max_episode_steps: int | None = None


def read_policy(content: Mapping[str, Any], source: str) -> StoredPolicy:
    """The policy of a checkpoint.

    Raises:
        ConfigError: if a part is missing, if anything has a wrong type, or if a weight is NaN or
            infinite.
    """
    whole = Section(content, "", source)
    data = whole.section(DATA, optional=True).all_plain()
    tensors = {
        here + name.removeprefix(there): value
        for name, value in whole.section(TENSORS).all_tensors().items()
        for there, here in PARTS.items()
        if name.startswith(there)
    }
    for here in PARTS.values():
        require(
            any(name.startswith(here) for name in tensors),
            f"{source} holds no {here.rstrip('.')} of a policy: give another .ckpt file",
        )
    require_finite(tensors, source)
    return StoredPolicy(
        replace(read_entry(content, source), rng_state=None),
        model_options(whole),
        {name: data[name] for name in EXPLORATION if name in data},
        tensors,
        source,
        whole.section(DATA, optional=True).count(STEPS) if data.get(STEPS) is not None else None,
    )


def require_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise :class:`ConfigError` for NaN or infinite weights, with which a policy still acts."""
    for name, value in tensors.items():
        require(
            bool(value.isfinite().all()),
            f"{source} holds a policy that diverged ({name:.60} has NaN or infinite numbers): "
            "give an earlier .ckpt file",
        )


def model_options(whole: Section) -> dict[str, Any]:
    """The model's options, without the classes that Lightning adds: nothing in a file is called."""
    options = whole.section(MODEL).all_plain()
    return {name: value for name, value in options.items() if not name.startswith("_")}


def policy_content(stored: StoredPolicy) -> dict[str, Any]:
    """What :func:`read_policy` reads and nothing else, in the layout of a checkpoint."""
    names = {here: there for there, here in PARTS.items()}
    tensors = {
        there + name.removeprefix(here): value.clone()
        for name, value in stored.tensors.items()
        for here, there in names.items()
        if name.startswith(here)
    }
    return {
        ENTRY: stored.entry.to_dict(),
        MODEL: stored.options,
        DATA: stored.exploration | {STEPS: stored.max_episode_steps},
        TENSORS: tensors,
    }
