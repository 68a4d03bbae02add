"""An odd environment of a user's own, trained from a config alone, through every command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import odd_gymnasium
import pytest
import torch
import yaml
from cli_config import TINY
from test_gymnasium_task import ODD, odd
from trained import made_run, quiet_trainer, train

from rher_pl import load_policy, policy_of
from rher_pl.check import main as check
from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.errors import ConfigError, TrainingError
from rher_pl.evaluate import main as evaluate
from rher_pl.export import main as export
from rher_pl.fit import main as fit
from rher_pl.inspect import main as inspect
from rher_pl.own_modules import OWN
from rher_pl.tasks import make_env
from rher_pl.training.module import RHERModule

ROOT = Path(__file__).parents[1]
OWN.append("odd_gymnasium")  # as --import does

# --- it trains -----------------------------------------------------------------------------------


def test_two_objects_are_learned_and_nothing_without_hindsight() -> None:
    """Control: the same run without relabelling."""
    options: dict[str, Any] = {
        "batch_size": 32,
        "updates_per_episode": 20,
        "eval_episodes": 50,
        "eval_envs": 10,
    }
    learned = train(3, task=odd(), **options).metrics_eval
    without = train(2, task=odd(), relabel_ratio=0.0, **options).metrics_eval
    assert learned["eval/success/first"] >= 0.5
    assert learned["eval/success/second"] > without["eval/success/second"] + 0.1


# --- from a config, through every command --------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a tiny run of two epochs was trained."""
    folder = tmp_path_factory.mktemp("odd")
    assert fit([*arguments(folder), "--recorder.folder", str(folder / "whole")]) == 0
    return folder


def arguments(folder: Path, **options: Any) -> list[str]:
    data = TINY["data"] | {"task": {"class_path": "rher_pl.GymnasiumTask", "init_args": ODD}}  # type: ignore[operator]
    path = folder / "odd.yaml"
    path.write_text(yaml.safe_dump(TINY | {"data": data | {"eval_envs": 5} | options}))
    return ["--config", str(path)]


def checkpoint(folder: Path, run: str = "whole") -> Path:
    (path,) = folder.glob(f"{run}/checkpoints/*/last.ckpt")
    return path


def test_it_goes_on_bit_for_bit(folder: Path) -> None:
    runs = ["--recorder.folder", str(folder / "parts")]
    assert fit([*arguments(folder), *runs, "--trainer.max_epochs", "1"]) == 0
    assert fit([*arguments(folder), *runs, "--ckpt_path", "last"]) == 0
    whole, parts = (read_checkpoint_file(checkpoint(folder, run)) for run in ("whole", "parts"))
    assert whole["rher_pl"]["env_steps"] == parts["rher_pl"]["env_steps"]
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, parts["state_dict"][name]), name


def test_every_command_works_on_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ckpt, own = ["--ckpt", str(checkpoint(folder))], ["--import", "odd_gymnasium"]
    video = ["--episodes", "2", "--video", str(folder / "odd.mp4"), "--video_episodes", "1"]
    assert evaluate([*own, *ckpt, *video]) == 0
    assert list(folder.glob("whole/artifacts/**/MLmodel")), "the policy was not logged as a model"
    out = ["--to", "torchscript", "mlflow", "--out", str(folder), "--episodes", "0"]
    assert export([*ckpt, *out]) == 0
    assert capsys.readouterr().out.count(": ok\n") == 2
    assert inspect([*ckpt, "--out", str(folder / "episode.png")]) == 0
    assert fit(["test", "--ckpt_path", ckpt[1], "--recorder.folder", str(folder / "t")]) == 0


def test_what_is_no_picture_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(odd_gymnasium.OddEnv, "render", lambda self: None)
    video = ["--episodes", "1", "--video", str(folder / "none.mp4"), "--video_episodes", "1"]
    assert evaluate(["--ckpt", str(checkpoint(folder)), *video]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: render() of Odd-v0 gives NoneType") and "height" in said


def test_a_loaded_policy_acts_in_the_environments_own_bounds(folder: Path) -> None:
    policy = load_policy(checkpoint(folder))
    env = odd_gymnasium.OddEnv()
    observation, _ = env.reset(seed=0)
    for _ in range(5):
        action = policy(observation)
        observation = env.step(action.astype(np.float64))[0]
    assert action.shape == (3,)


def test_a_policy_from_memory_acts_in_those_bounds_too() -> None:
    observation, _ = odd_gymnasium.OddEnv().reset(seed=0)
    policy = policy_of(RHERModule(odd(), hidden_size=8, hidden_layers=1))
    centre = (odd_gymnasium.LOW + odd_gymnasium.HIGH) / 2
    reach = (odd_gymnasium.HIGH - odd_gymnasium.LOW) / 2
    live = policy.policy.act(*made_states(policy, observation))
    expected = centre + reach * live.numpy()
    assert np.allclose(policy(observation), expected, atol=1e-5) and centre != 0


def made_states(policy: Any, observation: dict[str, Any]) -> list[torch.Tensor]:
    """A Gymnasium observation, as the live policy takes it."""
    seen, achieved, desired = policy.portable.take(observation)
    interface = odd().task().interface
    assert interface is not None
    return [seen, interface.points(seen, achieved), interface.goals(desired)]


def test_a_checkpoint_imports_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint may name anybody's code; only the user can ask to import it."""
    (folder / "evil_module.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.syspath_prepend(str(folder))
    content = read_checkpoint_file(checkpoint(folder))
    for change in (
        {"id": "evil_module:Odd-v0"},
        {"wrappers": ["evil_module.run"]},
        {"wrappers": ["os:system"]},  # imported, but not asked for
    ):
        module = "os" if "os:system" in change.get("wrappers", ()) else "evil_module"
        changed = dict(content["rher_pl"])
        written = {"class_path": "rher_pl.GymnasiumTask", "init_args": ODD | change}
        changed["written"] = written
        path = folder / "evil.ckpt"
        write_checkpoint(content | {"rher_pl": changed}, path)
        policy = load_policy(path)
        with pytest.raises(ConfigError, match=f"--import {module}"):
            policy.task  # noqa: B018
        assert evaluate(["--ckpt", str(path)]) == 2
        assert fit(["test", "--ckpt_path", str(path)]) == 2
        assert fit([*arguments(folder), "--ckpt_path", str(path)]) == 2
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--data.task.colour", "1"],
            "a GymnasiumTask has no option colour: python -m pydoc rher_pl.GymnasiumTask lists",
        ),
        (["--data.task.gripper", "x"], "data.task: gripper cannot be x: write a list"),
        (["--data.distance_threshold", "0.03"], "write --data.epsilon"),
        (["--data.max_episode_steps", "1"], "max_episode_steps must be in [2, 1,000,000]"),
        (["--import", "no_such_module"], "no module 'no_such_module'"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit([*arguments(tmp_path), *options, "--recorder.folder", str(tmp_path / "runs")]) == 2
    line = capsys.readouterr().err
    assert message in line and line.count("\n") == 1 and len(line) <= 300
    assert not (tmp_path / "runs").exists()


def test_episodes_and_epsilon_can_be_others(folder: Path) -> None:
    runs = ["--recorder.folder", str(folder / "other"), "--data.num_envs", "2"]
    other = ["--data.task", "PointPush-v0", "--data.max_episode_steps", "10"]
    options = [*other, "--data.epsilon", "0.2", "--trainer.max_epochs", "1"]
    assert fit([*arguments(folder), *runs, *options]) == 0
    policy = load_policy(checkpoint(folder, "other"))
    assert policy.relay.epsilon == 0.2
    assert make_env(policy.task, 1, 0).max_episode_steps == 10


def test_the_check_says_what_is_doubtful(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control: the environment as it is gives no warning."""
    assert check([*arguments(tmp_path), "--data.num_envs", "10"]) == 0
    assert "0 broken, 0 doubtful" in capsys.readouterr().out
    assert check([*arguments(tmp_path), "--data.task.epsilon", "0.15"]) == 0
    assert "epsilon accepts goals that the other does not" in capsys.readouterr().out


# --- workers in a whole run ----------------------------------------------------------------------


def test_processes_change_nothing_in_a_run() -> None:
    """The same weights whether copies are stepped here or each in a process of its own."""
    options: dict[str, Any] = {"num_envs": 2, "eval_envs": 2, "eval_episodes": 4}
    runs = [
        train(1, task=odd(vectorization=how), updates_per_episode=2, batch_size=16, **options)
        for how in ("sync", "async")
    ]
    for here, there in zip(*(run.state_dict().values() for run in runs), strict=True):
        assert torch.equal(here, there)


def test_a_waiting_worker_that_dies_is_missed_before_its_next_turn() -> None:
    """The evaluation's worker waits while episodes are collected and learned from."""

    class Kill(pl.Callback):
        killed_at = 0.0

        def on_train_batch_end(self, trainer: pl.Trainer, *others: Any) -> None:
            if trainer.global_step == 2:
                (*_, process) = trainer.datamodule.eval_env._vector.processes  # type: ignore[attr-defined]
                process.kill()
                process.join()
                self.killed_at = time.monotonic()

    kill = Kill()
    module, datamodule = made_run(
        task=odd(vectorization="async"),
        num_envs=2,
        eval_envs=3,
        eval_episodes=3,
        updates_per_episode=2,
        batch_size=16,
        random_episodes=0,
        eval_every_env_steps=100_000,
    )
    with pytest.raises(TrainingError, match=r"worker of environment 2 \(exit status -9\) of Odd"):
        quiet_trainer(max_epochs=1, num_sanity_val_steps=0, callbacks=[kill]).fit(
            module, datamodule
        )
    assert time.monotonic() - kill.killed_at < 5.0


# --- tasks of an installed package ---------------------------------------------------------------

PACKAGE = """
from dataclasses import replace
from rher_pl.tasks import get_task, register_task
register_task(replace(get_task("PointPush-v0"), name="TheirPush-v0"))
"""


@pytest.mark.parametrize("broken", [False, True])
def test_an_installed_package_offers_its_tasks(tmp_path: Path, broken: bool) -> None:
    """By the entry-point group; a package that fails is named, and the others go on."""
    (tmp_path / "their_tasks.py").write_text("import nowhere_at_all" if broken else PACKAGE)
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rher_pl.tasks]\ntheirs = their_tasks\n")
    done = subprocess.run(
        [sys.executable, "-m", "rher_pl.check", "--data.task", "TheirPush-v0"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    if broken:
        assert done.returncode == 2
        assert "rher_pl.tasks of their_tasks" in done.stderr, done.stderr
        assert "unknown task 'TheirPush-v0'" in done.stderr
        assert "Traceback" not in done.stderr
    else:
        assert done.returncode == 0, done.stderr
