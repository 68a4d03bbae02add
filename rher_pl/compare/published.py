"""Published learning curves that ours are set beside."""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL = (
    "Published figures: progress logs released by RHER's author (arXiv 2208.00843; RHER and plain "
    "HER, DDPG, Fetch-v1 on mujoco-py, mean of 5 seeds, 10 test episodes every 2,500 env steps). "
    "Ours run Fetch-v4 on mujoco, whose physics differ from v1: compare with care."
)
"""How the published figures were measured, for whatever shows them."""


@dataclass(frozen=True)
class Published:
    """One published curve.

    Args:
        method: name shown.
        reached: success level to the env steps at which the seed mean first reaches it and at
            which its trailing mean over five evaluations does.
        final: seed mean over the last 20 evaluations.
    """

    method: str
    reached: dict[float, tuple[int, int]]
    final: float


_CURVES = {
    "FetchPush": (
        Published("RHER paper", {0.90: (42_500, 52_500), 0.95: (50_000, 60_000)}, 0.993),
        Published(
            "HER, same paper",
            {0.90: (1_135_000, 1_225_000), 0.95: (1_220_000, 1_340_000)},
            0.996,
        ),
    ),
    "FetchPickAndPlace": (
        Published("RHER paper", {0.90: (137_500, 185_000), 0.95: (185_000, 230_000)}, 0.987),
        Published(
            "HER, same paper",
            {0.90: (1_425_000, 1_530_000), 0.95: (1_570_000, 1_690_000)},
            0.944,
        ),
    ),
}


def published(task: str) -> tuple[Published, ...]:
    """Published curves of a task, whatever its version: ``FetchPush-v4`` finds ``FetchPush``."""
    return _CURVES.get(task.partition("-v")[0], ())
