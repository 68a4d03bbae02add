"""A run of under a second that goes through everything a real one does."""

from __future__ import annotations

from pathlib import Path

import yaml

from rher_pl.tasks import get_task

TINY = {
    "data": {
        "task": "PointPush-v0",
        "num_envs": 2,
        "updates_per_episode": 2,
        "batch_size": 16,
        "random_episodes": 2,
        "eval_episodes": 10,
        "eval_envs": 10,
    },
    "model": {"hidden_size": 16, "hidden_layers": 1},
    "trainer": {"max_epochs": 2},
    "until": {"episodes": 5},
}
EPISODE = int(get_task("PointPush-v0").make_env(1, 0).max_episode_steps)
TINY["data"]["eval_every_env_steps"] = 4 * EPISODE  # type: ignore[index]
ITERATIONS = [2 * EPISODE * i for i in (1, 2, 3, 4)]  # env steps after each, 2 in an epoch
EVALUATIONS = ITERATIONS[1::2]


def write_config(folder: Path) -> str:
    """Write the tiny config, and return its path."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)
