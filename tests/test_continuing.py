"""Continuing under other options: each takes effect and is recorded, or is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from trained import made_run, quiet_trainer

from rher_pl.callbacks.recording import RunRecorder
from rher_pl.callbacks.until import UntilSolved
from rher_pl.callbacks.video import VideoRecorder
from rher_pl.checkpoints.continuing import NEW_RUN, SAME_RUN, Change, changed, on_continuing
from rher_pl.checkpoints.info import made_with
from rher_pl.choices import LINKED, Engine
from rher_pl.errors import ConfigError
from rher_pl.learner.native.library import is_available
from rher_pl.learner.td3 import TD3
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

TINY: dict[str, Any] = {
    "num_envs": 2,
    "batch_size": 4,
    "updates_per_episode": 1,
    "replay_capacity": 1_000,
    "random_episodes": 2,
    "eval_every_env_steps": 200,  # four iterations
    "eval_episodes": 2,
}
SMALL = {"hidden_size": 8, "hidden_layers": 1, "engine": "eager"}

Live = Callable[[RHERModule, RelayDataModule], Any]


def lr(module: RHERModule, data: RelayDataModule) -> Any:
    optimizers = (module.td3.critic_optimizer, module.td3.actor_optimizer)
    (rate,) = {group["lr"] for optimizer in optimizers for group in optimizer.param_groups}
    return rate


def td3(name: str) -> Live:
    return lambda module, data: getattr(module.td3, name)


def rule(name: str) -> Live:
    return lambda module, data: getattr(data.loader.rule, name)


def explored(name: str) -> Live:
    return lambda m, data: getattr(data.loader.collector.player.behavior_policy.exploration, name)


TAKES_EFFECT: dict[str, tuple[Any, Live, Any]] = {
    "model.mixing": ("sequential", lambda m, d: m.mixing.value, "sequential"),
    "model.gamma": (0.5, td3("gamma"), 0.5),
    "model.tau": (0.5, td3("tau"), 0.5),
    "model.learning_rate": (1e-5, lr, 1e-5),
    "model.final_learning_rate": (1e-3, lr, 2e-3 + (1e-3 - 2e-3) / 50),
    "model.learning_rate_epochs": (7, lambda m, d: m.hparams["learning_rate_epochs"], 7),
    "model.policy_noise": (0.3, td3("policy_noise"), 0.3),
    "model.noise_clip": (0.1, td3("noise_clip"), 0.1),
    "model.policy_delay": (3, td3("policy_delay"), 3),
    "model.bounded_target": (False, td3("bounded_target"), False),
    "model.action_l2": (0.9, td3("action_l2"), 0.9),
    "model.average_rate": (0.5, td3("average_rate"), 0.5),
    "model.engine": ("auto", td3("engine"), Engine.native if is_available() else Engine.eager),
    "data.num_envs": (3, lambda m, d: d.loader.collector.player.num_envs, 3),
    "data.updates_per_episode": (2, lambda m, d: d.loader.settings.updates, 4),
    "data.batch_size": (6, lambda m, d: d.loader.settings.batch_sizes, (6, 6)),
    "data.replay_capacity": (100, lambda m, d: d.loader.storage.max_size, 4),
    "data.relabel_ratio": (0.4, rule("relabel_ratio"), 0.4),
    "data.hindsight": ("final", lambda m, d: d.loader.rule.hindsight.value, "final"),
    "data.inert_ratio": (0.7, rule("inert_ratio"), 0.7),
    "data.unmet_ratio": (0.7, rule("unmet_ratio"), 0.7),
    "data.turn_share": (0.7, rule("turn_share"), 0.7),
    "data.prioritize_motion": (0.6, rule("prioritize_motion"), 0.6),
    "data.reward_radius": (0.5, rule("reward_radius"), 0.5),
    "data.mirror": (
        True,
        lambda m, d: [mirror.axes for mirror in d.rule.mirrors],
        ["x", "y", "xy"],
    ),
    "data.guide_share": (0.1, explored("guide_share"), 0.1),
    "data.fading_guide": (True, explored("fading_guide"), True),
    "data.fading_noise": (True, explored("fading_noise"), True),
    "data.random_share": (0.1, explored("random_share"), 0.1),
    "data.exploration_noise": (0.5, explored("exploration_noise"), 0.5),
    "data.hold_steps": (3, explored("hold_steps"), 3),
    "data.reached_distance": (0.01, explored("reached_distance"), 0.01),
    "data.shards": (1, lambda m, d: type(d.loader.collector.player).__name__, "ShardPlayer"),
    "data.pipelined": (True, lambda m, d: type(d.loader.collector).__name__, "PipelinedCollector"),
    "data.eval_every_env_steps": (100, lambda m, d: len(d.loader), 2),
    "data.eval_episodes": (3, lambda m, d: len(d.val_dataloader().batch.seeds), 3),
    "data.eval_last_policy": (True, lambda m, d: d.val_dataloader().batch.last_policy, True),
    "data.eval_envs": (1, lambda m, d: d.eval_env.num_envs, 1),
    "trainer.precision": ("bf16-mixed", lambda m, d: m.td3.compute_type, torch.bfloat16),
}
"""Of every option that may change: another value, where it is looked up, and what is there then."""


class OwnTD3(TD3):
    """A learner of the user's own."""


REFUSED: dict[str, Any] = {
    "model.learner": OwnTD3,
    "seed_everything": 5,
    "data.task": "FetchPush-v4",
    "data.relay": "none",
    "data.random_episodes": 9,
    "data.epsilon": 0.1,
    "data.max_episode_steps": 20,
    "model.algorithm": "ddpg",
    "model.critics": 3,
    "model.critic_layer_norm": True,
    "model.hidden_size": 16,
    "model.hidden_layers": 2,
    "model.relative_goals": False,
    "model.absolute_positions": True,
    "model.roles": False,
    "model.stay": False,
}


def all_options() -> set[str]:
    classes = {"model": RHERModule, "data": RelayDataModule}
    classes |= {"until": UntilSolved, "recorder": RunRecorder, "video": VideoRecorder}
    names = {f"{k}.{n}" for k, c in classes.items() for n in inspect.signature(c).parameters}
    return {LINKED.get(name, name) for name in names} | {"trainer.precision"}


def test_the_table_knows_every_option() -> None:
    kinds: dict[Change, set[str]] = {change: set() for change in Change}
    for name in all_options():
        kinds[on_continuing(name)].add(name)
    assert kinds[Change.new_run] == set(NEW_RUN) == set(TAKES_EFFECT)
    assert kinds[Change.refused] == set(REFUSED)
    assert {name for name in SAME_RUN if "*" not in name} == {
        "data.num_threads",
        "data.workers",
    }
    assert on_continuing("trainer.max_epochs") == Change.same_run


class Look(pl.Callback):
    """Takes down what is live while a run goes on."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.seen: list[Any] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        self.seen.append(self.live(module, trainer.datamodule))  # type: ignore[attr-defined]


def go(
    epochs: int,
    options: dict[str, Any],
    ckpt_path: Path | None = None,
    live: Live = lr,
    **trainer: Any,
) -> tuple[Look, pl.Trainer, RHERModule]:
    """A tiny run under dotted options; what was live in each iteration."""
    model = {k[6:]: v for k, v in options.items() if k.startswith("model.")}
    data = {k[5:]: v for k, v in options.items() if k.startswith("data.")}
    data |= {"seed": options["seed_everything"]} if "seed_everything" in options else {}
    task = data.pop("task", "PointPush-v0")
    relay = {"relay": data["relay"]} if "relay" in data else {}
    module, datamodule = made_run(SMALL | model | relay, task, **(TINY | data))
    look = Look(live)
    run = quiet_trainer(
        max_epochs=epochs,
        num_sanity_val_steps=0,
        precision=options.get("trainer.precision", "32-true"),
        callbacks=[look],
        **trainer,
    )
    run.fit(module, datamodule, ckpt_path=ckpt_path, weights_only=True)
    return look, run, module


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("before") / "before.ckpt"
    _, trainer, _ = go(1, {})
    trainer.save_checkpoint(path)
    return path


@pytest.mark.parametrize("option", TAKES_EFFECT)
def test_what_may_change_takes_effect_and_is_recorded(
    option: str, before: Path, tmp_path: Path
) -> None:
    value, live, expected = TAKES_EFFECT[option]
    look, trainer, module = go(2, {option: value}, before, live)
    assert look.seen and set(map(str, look.seen)) == {str(expected)}
    assert module.env_steps > 200
    trainer.save_checkpoint(tmp_path / "after.ckpt")
    content = torch.load(tmp_path / "after.ckpt", weights_only=True)
    names = made_with(torch.load(before, weights_only=True), "before")
    if not option.startswith("trainer."):  # numerics are written by a callback of the command line
        assert changed(names, made_with(content, "after")) == [option]


@pytest.mark.parametrize("option", REFUSED)
def test_what_may_not_change_is_refused_by_name(option: str, before: Path) -> None:
    others = {"model.absolute_positions": True} if option == "model.relative_goals" else {}
    with pytest.raises(ConfigError, match=f"use .*--{option} ") as caught:
        go(2, {option: REFUSED[option], **others}, before)
    assert len(str(caught.value)) <= 300


def test_a_rate_that_a_schedule_has_changed_is_kept(before: Path, tmp_path: Path) -> None:
    content = torch.load(before, weights_only=True)
    for optimizer in content["optimizer_states"]:
        optimizer["param_groups"][0]["lr"] = 0.0123
    torch.save(content, tmp_path / "scheduled.ckpt")
    look, *_ = go(2, {}, tmp_path / "scheduled.ckpt")
    assert set(look.seen) == {0.0123}


@pytest.mark.parametrize(
    ("changed_options", "third", "fourth"),
    [
        ({}, 1.2e-3, 8e-4),
        ({"learning_rate": 1e-3}, 7e-4, 5.5e-4),
        ({"final_learning_rate": 1e-3}, 1.5e-3, 1.25e-3),
        ({"final_learning_rate": None}, 2e-3, 2e-3),
        ({"learning_rate_epochs": 8}, 1.6e-3, 1.4e-3),
    ],
)
def test_a_falling_rate_is_that_of_the_options_within_an_epoch_too(
    changed_options: dict[str, Any], third: float, fourth: float, tmp_path: Path
) -> None:
    """Of a run that was stopped after one of the four iterations of its third epoch."""
    falls = {"model.final_learning_rate": 4e-4, "model.learning_rate_epochs": 4}

    def stop(module: RHERModule, data: RelayDataModule) -> None:
        if module.env_steps == 450:
            module.trainer.save_checkpoint(tmp_path / "stopped.ckpt")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        go(3, falls, live=stop)
    now = falls | {f"model.{name}": value for name, value in changed_options.items()}
    look, *_ = go(4, now, tmp_path / "stopped.ckpt")
    assert look.seen == pytest.approx([third] * 3 + [fourth] * 4)


@pytest.mark.parametrize(
    "option", [("data.num_envs", 4), ("data.num_envs", 1), ("data.eval_every_env_steps", 100)]
)
def test_an_epoch_of_another_length_is_finished_and_evaluated(
    option: tuple[str, int], tmp_path: Path
) -> None:
    """Of a run that was stopped after three of four iterations."""
    _, trainer, module = go(1, {}, max_steps=3)
    assert module.env_steps == 150
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    look, _, module = go(2, dict([option]), tmp_path / "stopped.ckpt")
    assert look.seen and module.metrics_eval


def test_episodes_that_were_collected_ahead_are_not_lost(tmp_path: Path) -> None:
    _, trainer, module = go(1, {"data.pipelined": True})
    trainer.save_checkpoint(tmp_path / "pipelined.ckpt")
    numbers: Live = lambda m, d: d.loader.collector.episodes  # noqa: E731
    look, *_ = go(2, {"data.pipelined": False}, tmp_path / "pipelined.ckpt", numbers)
    assert module.episodes == 8 and look.seen == [10, 12, 14, 16]
