"""What another value of an option does when a checkpoint is continued: one table.

What may change takes effect from there on, and a run of its own begins, whose record says what is
run now and which run it continues. All else would be recorded without being run, as it is in the
weights, the episodes or the random state already: it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from rher_pl.errors import ConfigError


class Change(str, Enum):
    """What another value of an option does on continuing."""

    same_run = "same run"
    """It takes effect; no result depends on it, so the same run goes on."""
    new_run = "new run"
    """It takes effect, in a run of its own."""
    refused = "refused"
    """It cannot take effect any more."""


SAME_RUN = (
    "data.num_threads",
    "data.workers",
    "trainer.*",
    "recorder.*",
    "until.*",
    "video.*",
)
"""Options, or all of a section. Trainer and recorders are built anew: nothing of theirs is kept but
their counts."""

NEW_RUN = (
    "model.mixing",
    "model.gamma",
    "model.tau",
    "model.learning_rate",
    "model.policy_noise",
    "model.noise_clip",
    "model.policy_delay",
    "model.bounded_target",
    "model.action_l2",
    "model.average_rate",
    "model.engine",
    "data.num_envs",
    "data.updates_per_episode",
    "data.batch_size",
    "data.replay_capacity",
    "data.relabel_ratio",
    "data.hindsight",
    "data.inert_ratio",
    "data.unmet_ratio",
    "data.turn_share",
    "data.prioritize_motion",
    "data.reward_radius",
    "data.guide_share",
    "data.fading_guide",
    "data.fading_noise",
    "data.random_share",
    "data.exploration_noise",
    "data.hold_steps",
    "data.reached_distance",
    "data.pipelined",
    "data.shards",
    "data.eval_every_env_steps",
    "data.eval_episodes",
    "data.eval_envs",
    "data.eval_last_policy",
    "trainer.precision",
)


def on_continuing(option: str) -> Change:
    """What another value of an option, by its dotted name, does."""
    if option in NEW_RUN:
        return Change.new_run
    if option in SAME_RUN or f"{option.partition('.')[0]}.*" in SAME_RUN:
        return Change.same_run
    return Change.refused


def changed(
    before: Mapping[str, Any], now: Mapping[str, Any], change: Change = Change.new_run
) -> list[str]:
    """Names of options whose value is another one, with that consequence.

    Args:
        before: options of the checkpoint, by dotted name.
        now: options that are asked for; those of only one side are not compared.
        change: consequence.
    """
    both = [name for name in before if name in now and on_continuing(name) == change]
    return [name for name in both if before[name] != now[name]]


def require_unchanged(
    before: Mapping[str, Any], now: Mapping[str, Any], source: str, only: str = ""
) -> None:
    """Refuse options that cannot take effect any more.

    Args:
        before, now: as in :func:`changed`.
        source: such as ``checkpoint last.ckpt``, for the message.
        only: beginning of the names that matter.

    Raises:
        ConfigError: names every such option, with the value to write.
    """
    names = [name for name in changed(before, now, Change.refused) if name.startswith(only)]
    if names:
        wanted = " ".join(f"--{name} {before[name]!s:.40}" for name in names)
        raise ConfigError(
            f"{source} was made with other options, which cannot change any more: use {wanted}, "
            "or leave out the checkpoint to begin anew"
        )
