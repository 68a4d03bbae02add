"""The keys of a checkpoint, and what they mean.

A checkpoint is Lightning's dict, plus :data:`ENTRY`, which says what is trained and how far
training has come, and :data:`HEADER`, which says what wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from rher_pl.checkpoints.section import Section
from rher_pl.relay import Interface, Layout, Relay

FORMAT = 2
"""Increased when the meaning of a checkpoint changes; ``upgrade.py`` reads earlier formats."""
HEADER = "header"
ENTRY = "rher_pl"
MODEL = "hyper_parameters"
DATA = "datamodule_hyper_parameters"
TENSORS = "state_dict"
OPTIMIZERS = "optimizer_states"
REPLAY = "RelayDataModule"
CALLBACKS = "callbacks"
RECORDER = "RunRecorder"
UNTIL = "UntilSolved"
NUMERICS = "numerics"
"""What rounding depends on: precision, device, threads, engine."""
MOST_OBJECTS = 100
"""In a relay; its tables grow with the square of their number."""


@dataclass(frozen=True)
class Entry:
    """What is trained, and how far training has come.

    Args:
        task: its name.
        relay: its relay as ``Relay.to_dict`` gives it.
        layout: label of each number of an observation, as ``Layout.to_list`` gives them.
        action_size: numbers in an action.
        env_steps, episodes, updates: how long it was trained.
        success: of each subtask, the success in the latest evaluations, oldest first.
        engine: name of the engine that computed the updates.
        rng_state: of torch's generator on the CPU; None in a file cut down to its policy.
        interface: as ``Interface.to_dict`` gives it; None for ``Interface.usual``.
        written: the task as a config wrote it (class_path, init_args); None for a registered name.
    """

    task: str
    relay: dict[str, Any]
    layout: list[str]
    action_size: int
    env_steps: int
    episodes: int
    updates: int
    success: list[list[float]]
    engine: str
    rng_state: Tensor | None = None
    interface: dict[str, Any] | None = None
    written: Mapping[str, Any] | None = None

    @property
    def counters(self) -> dict[str, int]:
        """``env_steps``, ``episodes`` and ``updates``."""
        return {"env_steps": self.env_steps, "episodes": self.episodes, "updates": self.updates}

    def to_dict(self) -> dict[str, Any]:
        """As a checkpoint keeps it, without what is None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def make_header(versions: Mapping[str, str]) -> dict[str, Any]:
    """The header of a content; ``versions`` are of the packages that write it, by name."""
    return {HEADER: {"format": FORMAT, "versions": dict(versions)}}


def write_entry(content: dict[str, Any], entry: Entry) -> None:
    """Put an entry into what the trainer is about to save."""
    content[ENTRY] = entry.to_dict()
    # The data module saves the loader; the loop's copy would hold the replay a second time.
    content["loops"]["fit_loop"]["state_dict"].pop("combined_loader", None)


def read_entry(content: Mapping[str, Any], source: str) -> Entry:
    """The entry of a content.

    Raises:
        ConfigError: if it is missing, or if anything in it has a wrong type.
    """
    entry = Section(content, "", source).section(ENTRY)
    relay, layout = _read_relay(entry), _read_layout(entry)
    return Entry(
        task=entry.text("task"),
        relay=relay,
        layout=layout,
        action_size=entry.count("action_size"),
        env_steps=entry.count("env_steps"),
        episodes=entry.count("episodes"),
        updates=entry.count("updates"),
        success=entry.numbers("success"),
        engine=entry.text("engine"),
        rng_state=entry.tensor("rng_state") if "rng_state" in entry else None,
        interface=_read_interface(entry, relay, len(layout)) if "interface" in entry else None,
        written=entry.tree("written") if "written" in entry else None,
    )


def _read_relay(entry: Section) -> dict[str, Any]:
    """Values from which a relay can be built, so that callers need not handle errors."""
    values = entry.section("relay").all_plain()
    try:
        relay = Relay.from_dict(values)
        if relay.num_objects <= MOST_OBJECTS and relay.limit.isfinite().any():
            return values
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        pass
    entry.refuse("relay", "a valid relay")


def _read_layout(entry: Section) -> list[str]:
    labels = entry.texts("layout")
    try:
        Layout(tuple(labels))
    except ValueError:
        entry.refuse("layout", "a valid layout")
    return labels


def _read_interface(entry: Section, relay: dict[str, Any], columns: int) -> dict[str, Any]:
    """Values of an interface that fits relay, layout (its number of columns) and actions."""
    values = entry.section("interface").all_plain()
    try:
        found, chain = Interface.from_dict(values), Relay.from_dict(relay)
        points = len(found.numbers) + (bool(found.gripper) or found.gripper_in_goal)
        fits = (
            len(found.numbers) == chain.num_desired
            and points == chain.num_points
            and all(n in (1, 2, 3) for n in (*found.numbers, len(found.gripper) or 1))
            and all(0 <= column < columns for column in found.gripper)
            and {len(found.low), len(found.high)} in ({0}, {entry.count("action_size")})
            and all(low < high for low, high in zip(found.low, found.high))
        )
        if fits:
            return values
    except (AttributeError, TypeError, ValueError):
        pass
    entry.refuse("interface", "one that fits its relay, layout and actions")


def read_numerics(content: Mapping[str, Any], source: str) -> dict[str, str]:
    """What rounding depended on; empty where the file does not say."""
    return Section(content, "", source).section(NUMERICS, optional=True).all_texts()
