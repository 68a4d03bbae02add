"""What a changed option does when a checkpoint is continued, in one table.

Options on which no result depends may change within the run. Others take effect from there on, in a
new run, whose record has the new values and names the run that it continues. All others are
refused: their old values are in the weights, the stored episodes or the random state already, so
that new values would be recorded without being used.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from rher_pl.errors import ConfigError


class Change(str, Enum):
    """What a changed option does on continuing."""

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
"""Options, or with ``.*`` all of a section. Trainer and recorders are built anew; they keep only
their counts."""

NEW_RUN = (
    "model.mixing",
    "model.gamma",
    "model.tau",
    "model.learning_rate",
    "model.final_learning_rate",
    "model.learning_rate_epochs",
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
    "data.mirror",
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
    """What a changed option does; ``option`` is its dotted name, such as ``model.gamma``."""
    if option in NEW_RUN:
        return Change.new_run
    if option in SAME_RUN or f"{option.partition('.')[0]}.*" in SAME_RUN:
        return Change.same_run
    return Change.refused


def changed(
    before: Mapping[str, Any], now: Mapping[str, Any], change: Change = Change.new_run
) -> list[str]:
    """Names of the changed options that have the consequence ``change``.

    Args:
        before: options of the checkpoint, by dotted name.
        now: options asked for; an option that is missing on one side is not compared.
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
        only: beginning of the names that are compared; all by default.

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
