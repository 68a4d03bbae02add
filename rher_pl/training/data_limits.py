"""Which values the options of the data module may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rher_pl.choices import RelayMode
from rher_pl.cluster.joining import require_packages
from rher_pl.envs.mirrors import Mirror
from rher_pl.errors import require
from rher_pl.limits import (
    ABOVE_ZERO_SHARE,
    COUNT,
    MANY,
    NOT_NEGATIVE,
    SHARE,
    Range,
    number,
)
from rher_pl.tasks import Task

MANY_ENVS = Range(1, 10_000)
RANGES = {
    "seed": NOT_NEGATIVE,
    "num_envs": MANY_ENVS,
    "eval_envs": MANY_ENVS,
    "num_threads": COUNT,
    "shards": NOT_NEGATIVE,
    "workers": COUNT,
    "eval_episodes": Range(1, 1_000_000),
    "eval_every_env_steps": COUNT,
    "updates_per_episode": NOT_NEGATIVE,
    "random_episodes": NOT_NEGATIVE,
    "replay_capacity": COUNT,
    "exploration_noise": NOT_NEGATIVE,
    "reached_distance": NOT_NEGATIVE,
    "hold_steps": COUNT,
    "relabel_ratio": SHARE,
    "inert_ratio": SHARE,
    "unmet_ratio": SHARE,
    "turn_share": SHARE,
    "prioritize_motion": SHARE,
    "guide_share": SHARE,
    "random_share": SHARE,
    "reward_radius": ABOVE_ZERO_SHARE,
    "epsilon": Range(0, low_open=True),
    "max_episode_steps": Range(2, 1_000_000),
}


def check_shards(shards: int, workers: int | None, num_envs: int) -> None:
    """Require that the environments divide into shards, and that Ray is installed for them.

    Raises:
        ConfigError: names what to write.
    """
    require(
        shards > 0 or workers is None,
        f"data.workers {workers} has no effect without shards: add --data.shards {workers}",
    )
    if shards:
        require(
            num_envs % shards == 0,
            f"data.shards {shards} must divide data.num_envs {num_envs}: write "
            f"--data.num_envs {shards * max(1, round(num_envs / shards))}",
        )
        require_packages("data.shards", ["ray"])


def check_mirror(mirror: bool, task: Task) -> None:
    """Require that the task is known to be its own mirror image.

    Raises:
        ConfigError: if it is not.
    """
    require(
        not mirror or bool(task.mirrors),
        f"data.mirror: task {task.name} defines no mirror images: leave the option out, or "
        "register the task with mirrors",
    )


def check_mirrored_inputs(mirrors: Sequence[Mirror], inputs: Mapping[str, bool]) -> None:
    """Require that networks which learn from mirror images see no places on the table.

    Args:
        mirrors: that are learned from.
        inputs: options of the ``InputEncoder``.

    Raises:
        ConfigError: if they see them.
    """
    require(
        not mirrors or not inputs["absolute_positions"],
        "data.mirror works with relative positions only, but model.absolute_positions is true: set "
        "one of them to false",
    )


def split_batch(
    batch_size: int | list[int], subtasks: int, mode: RelayMode, task: str
) -> tuple[int, ...]:
    """Samples of each subtask in a mixed batch.

    Raises:
        ConfigError: for a size below 1, or if there is neither one size nor one for each subtask.
    """
    sizes = batch_size if isinstance(batch_size, list) else [batch_size]
    require(
        mode != RelayMode.none or len(sizes) == 1,
        f"batch_size has {len(sizes)} numbers, but relay none trains the last subtask alone: "
        f"write one, such as --data.batch_size {sum(sizes)} for as many samples in all",
    )
    each = sizes * subtasks if len(sizes) == 1 else sizes
    require(
        len(each) == subtasks and min(each) >= 1 and max(each) <= MANY,
        f"batch_size must be one number of at least 1, or {subtasks} of them (one for each subtask "
        f"of {task}), such as --data.batch_size {64 * subtasks}; "
        f"got {', '.join(map(number, sizes))[:60]}",
    )
    return tuple(each)
