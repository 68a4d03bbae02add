"""Options with a few named values; a config writes the name of a member."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any


class RelayMode(str, Enum):
    """How much of the task's relay is trained."""

    full = "full"
    """All subtasks: RHER (arXiv 2208.00843). Objects that the task allows to be brought in any
    order are brought nearest first, but first one that stands at another's goal."""
    ordered = "ordered"
    """All subtasks, with the objects in the order of their numbers."""
    none = "none"
    """The last subtask alone, without a guide: plain HER (arXiv 1707.01495)."""


class Algorithm(str, Enum):
    """The update; both algorithms are built from the same losses."""

    td3 = "td3"
    """Several critics, target policy smoothing, a delayed actor (arXiv 1802.09477)."""
    ddpg = "ddpg"
    """One critic, no smoothing, no delay (arXiv 1509.02971)."""


class Mixing(str, Enum):
    """How the subtasks share the updates of an iteration."""

    joint = "joint"
    """Every update sees all subtasks in one mixed batch."""
    sequential = "sequential"
    """All updates on the first subtask, then all on the next: the same samples in more updates."""


class Hindsight(str, Enum):
    """Which state of its episode gives a transition from t to t + 1 its hindsight goal."""

    future = "future"
    """Uniform over the states later than t (arXiv 1707.01495, section 4.5)."""
    final = "final"
    """The last state."""
    episode = "episode"
    """Uniform over all states, earlier ones included: such a goal may lie in the past."""


class Engine(str, Enum):
    """What computes the updates; all compute the same, but for rounding."""

    auto = "auto"
    """native where this machine and the networks allow it, else eager."""
    eager = "eager"
    """PyTorch, one operation after the other."""
    compile = "compile"
    """``torch.compile`` of the whole update: a minute when first used, then seconds."""
    native = "native"
    """C++ on a CPU, for one or two critics without layer norm: built in seconds, then kept."""


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the names of enum members: a checkpoint holds plain types only."""
    return {k: v.value if isinstance(v, Enum) else v for k, v in options.items()}


LINKED = {
    "data.seed": "seed_everything",
    "model.task": "data.task",
    "model.relay": "data.relay",
    "model.epsilon": "data.epsilon",
}
"""Options, by dotted name, that take the value of another one."""
