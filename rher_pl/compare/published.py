"""Published learning curves to compare with."""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL = (
    "Published figures of FetchPush and FetchPickAndPlace: progress logs released by RHER's author "
    "(arXiv 2208.00843; RHER and plain HER, DDPG, Fetch-v1 on mujoco-py, mean of 5 seeds, 10 test "
    "episodes every 2,500 env steps). Figures of other tasks are what their authors say, on their "
    "own environments. "
    "Ours run Fetch-v4 on mujoco, whose physics differ from v1: compare with care."
)
"""How the published figures were measured, for whatever shows them."""


@dataclass(frozen=True)
class Published:
    """Published figures of a method on a task.

    Args:
        method: name shown.
        reached: success level to the env steps at which an evaluation first reaches it, and at
            which the trailing mean over five evaluations does (None if not published).
        end: success at the end of the curve, as shown.
        where: the environment, which always differs from ours.
        seeds: how many; None if not published.
    """

    method: str
    reached: dict[float, tuple[int, int | None]]
    end: str
    where: str = "Fetch-v1"
    seeds: int | None = 5


_OWN = "its own, mujoco-py"
_README = "README of RHER"
_ZOO = "TQC + HER (stable-baselines3's zoo)"
_PLOT = Published("RHER paper", {}, "a picture, up to about 2.4M", _OWN, None)
_CURVES = {
    "FetchPush": (
        Published("RHER paper", {0.90: (42_500, 52_500), 0.95: (50_000, 60_000)}, "0.993 of 20"),
        Published(
            "HER, same paper",
            {0.90: (1_135_000, 1_225_000), 0.95: (1_220_000, 1_340_000)},
            "0.996 of 20",
        ),
    ),
    "FetchPickAndPlace": (
        Published(
            "RHER paper", {0.90: (137_500, 185_000), 0.95: (185_000, 230_000)}, "0.987 of 20"
        ),
        Published(
            "HER, same paper",
            {0.90: (1_425_000, 1_530_000), 0.95: (1_570_000, 1_690_000)},
            "0.944 of 20",
        ),
    ),
    "FetchSlide": (
        Published("DDPG + HER (mrl)", {0.80: (750_000, None)}, "0.88 at 2-2.5M", "Fetch-v1", None),
    ),
    "FetchObstaclePush": (_PLOT,),
    "FetchInsert": (_PLOT,),
    "FetchDrawer": (_PLOT,),
    "FetchDoublePush": (Published("RHER paper", {}, "a picture, up to 1.2M", _OWN, None),),
    "FetchStack": (
        Published(_README, {}, "'within 750k', level unstated", _OWN, None),
        Published("TD3 + HER (SPReD, table 1)", {}, "0.008 at 10M", "another", None),
    ),
    "FetchThreePush": (Published(_README, {0.80: (4_200_000, None)}, "about 0.80", _OWN, None),),
    "FetchThreeStack": (
        Published(_README, {0.80: (4_200_000, None)}, "about 0.80", _OWN, None),
        Published(
            "MUN (NeurIPS 2024), world model",
            {0.50: (970_000, None), 0.80: (1_390_000, None), 0.90: (1_670_000, None)},
            "",
            "walled, T = 150",
            None,
        ),
        Published("TD3 + HER (SPReD, table 1)", {}, "0.000 at 10M", "another", None),
    ),
    "PandaPush": (Published(_ZOO, {}, "mean reward -7.0 at 1M", "v1", None),),
    "PandaPickAndPlace": (Published(_ZOO, {}, "mean reward -12.9 at 1M", "v1", None),),
    "PandaStack": (Published(_ZOO, {}, "mean reward -99.9 of -100 at 1M", "v1", None),),
}


def published(task: str) -> tuple[Published, ...]:
    """Published curves of a task, whatever its version: ``FetchPush-v4`` finds ``FetchPush``."""
    return _CURVES.get(task.partition("-v")[0], ())
