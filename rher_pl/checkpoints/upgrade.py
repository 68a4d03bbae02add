"""Converts contents of earlier formats to the present one.

Format 1 (rher_pl 0.1) had neither relay nor layout: both are taken from the task of that name. It
can be evaluated and exported, but not continued: since 0.2 every episode has a seed of its own, so
the run would not go on as it would have then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rher_pl.checkpoints.layout import (
    DATA,
    ENTRY,
    FORMAT,
    HEADER,
    MODEL,
    NUMERICS,
    REPLAY,
    TENSORS,
)
from rher_pl.checkpoints.section import Section
from rher_pl.errors import ConfigError
from rher_pl.tasks import get_task

TENSORS_OF_FORMAT_1 = {
    "policy.encoder.": "encoder.",
    "policy.actor.": "td3.actor.",
    "critic.": "td3.critic.",
    "target_actor.": "td3.target_actor.",
    "target_critic.": "td3.target_critic.",
    "averaged_actor.": "td3.averaged_actor.",
}
"""Prefixes of the module's tensors in format 1 and in the present one; other names stay."""
REMOVED = ("learned_threshold",)


def upgraded(content: Any, source: str) -> dict[str, Any]:
    """Convert a content of any format that can be read to the present one.

    Raises:
        ConfigError: for a format that cannot be read.
    """
    whole = Section(content, "", source)
    header = whole.values.get(HEADER)
    found = header.get("format") if isinstance(header, dict) else None
    if found == FORMAT:
        return whole.values
    if found != 1:
        raise ConfigError(
            f"{source} has format {found!r:.20}, this version reads 1 to {FORMAT}: "
            "use the version of rher_pl that wrote it"
        )
    return whole.values | {
        HEADER: {**whole.section(HEADER).values, "format": FORMAT, "upgraded_from": 1},
        ENTRY: _entry(whole),
        MODEL: _model_options(whole.section(MODEL).all_plain()),
        DATA: {"fading_guide": False} | whole.section(DATA, optional=True).values,
        TENSORS: _tensors(whole.section(TENSORS).all_tensors()),
        **_replay(whole),
    }


def _entry(whole: Section) -> dict[str, Any]:
    before = whole.section(ENTRY)
    task = get_task(before.text("task"))
    modes = [whole.section(key, optional=True).values.get("relay") for key in (MODEL, DATA)]
    relay = task.relay.only_last() if "none" in modes else task.relay
    counters = ("env_steps", "episodes", "updates")
    entry: dict[str, Any] = {key: before.count(key) for key in counters}
    numerics = whole.section(NUMERICS, optional=True)
    return entry | {
        "task": task.name,
        "relay": relay.to_dict(),
        "layout": task.layout.to_list(),
        "action_size": task.action_size,
        "success": before.section("progress").numbers("recent"),
        "engine": numerics.text("engine") if "engine" in numerics else "eager",
    }


def _model_options(options: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in options.items() if name not in (*REMOVED, "compiled")}
    return kept | {"engine": "eager" if options.get("compiled") is False else "auto"}


def _tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        before = next((prefix for prefix in TENSORS_OF_FORMAT_1 if name.startswith(prefix)), "")
        renamed[TENSORS_OF_FORMAT_1.get(before, "") + name.removeprefix(before)] = value
    return renamed


def _replay(whole: Section) -> dict[str, Any]:
    """The stored episodes: in format 1 all had the same length and ended by time."""
    loader = whole.section(REPLAY, optional=True)
    if loader.values.get("storage") is None:
        return {}
    from rher_pl.envs.contract import Ending  # here, as reading a policy needs no torchrl

    storage = loader.section("storage")
    episodes = storage.section("episodes")
    action = episodes.tensor("action")
    if action.dim() != 3:
        episodes.refuse("action", "a tensor [N, T, A]")
    count, length = action.shape[:2]
    more = {
        "length": torch.full((count, 1), length),
        "ending": torch.full((count, 1), Ending.TIME, dtype=torch.uint8),
    }
    return {
        REPLAY: loader.values | {"storage": storage.values | {"episodes": episodes.values | more}}
    }
