"""The stored episodes in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rher_pl.checkpoints.layout import DATA, REPLAY
from rher_pl.checkpoints.section import Section
from rher_pl.errors import ConfigError, require

ROWS = {
    "observation": ("T + 1", "O"),
    "achieved_goals": ("T + 1", "P", "3"),
    "desired_goals": ("D", "3"),
    "action": ("T", "A"),
    "length": ("1",),
    "ending": ("1",),
}
"""Shapes of an episode's tensors in the storage, by name: T env steps, O numbers of an observation,
P points, D desired goals, A numbers of an action."""


def read_episodes(content: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """All stored episodes [N], oldest first; see ``ROWS`` for what they hold.

    Raises:
        ConfigError: if the content holds none, or if their shapes are not those of ``ROWS``.
    """
    whole = Section(content, "", source)
    loader = whole.section(REPLAY, optional=True)
    if loader.values.get("storage") is None:
        raise ConfigError(f"{source} holds no episodes: give the checkpoint of a training run")
    storage = loader.section("storage")
    episodes, cursor = storage.section("episodes"), storage.count("cursor")
    found = {name: episodes.tensor(name) for name in ROWS}
    _check_shapes(found, source)
    count = len(found["action"])
    # The cursor of a full ring buffer is the oldest row; else it is the count.
    order = (torch.arange(count) + cursor % count) % count
    return {name: value[order] for name, value in found.items()}


def read_episode(content: Mapping[str, Any], number: int, source: str) -> dict[str, Tensor]:
    """One stored episode, without a batch dimension.

    Args:
        content: of a checkpoint.
        number: 0 is the oldest stored one, -1 the newest.
        source: of the content, for messages.

    Raises:
        ConfigError: if there is no such episode; see also :func:`read_episodes`.
    """
    episodes = read_episodes(content, source)
    count = len(episodes["action"])
    require(
        -count <= number < count,
        f"{source} holds {count} episodes: --episode must be in [{-count}, {count - 1}]",
    )
    return {name: value[number].clone() for name, value in episodes.items()}


def _check_shapes(found: Mapping[str, Tensor], source: str) -> None:
    """Require tensors [N, ...] as in ``ROWS``, of the same N and T, and lengths in [1, T]."""
    action = found["action"]
    require(
        action.dim() == 3 and len(action) > 0,
        f"{source} holds no episodes: give the checkpoint of a training run",
    )
    sizes = {"T": action.shape[1], "T + 1": action.shape[1] + 1, "3": 3, "1": 1}
    for name, wanted in ROWS.items():
        shape = list(found[name].shape)
        fits = len(shape) == 1 + len(wanted) and shape[0] == len(action)
        fits = fits and all(sizes.get(w, n) == n for w, n in zip(wanted, shape[1:], strict=True))
        require(
            fits,
            f"{source} holds episodes whose {name} is {shape}, not [N, {', '.join(wanted)}]: "
            "give another .ckpt file",
        )
    lengths = found["length"]
    require(
        bool(((lengths >= 1) & (lengths <= sizes["T"])).all()),
        f"{source} holds episodes that are longer than {sizes['T']} steps: give another .ckpt file",
    )


def data_options(content: Mapping[str, Any], source: str) -> Section:
    """Options of the data module that collected the episodes."""
    return Section(content, "", source).section(DATA)
