"""From Python: what the package offers, and that it does what the command line does."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from cli_config import EVALUATIONS, ITERATIONS, TINY, write_config
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from mlflow import MlflowClient
from tensorboardX.proto.event_pb2 import Event
from wandb.proto.wandb_internal_pb2 import Record

import rher_pl
from rher_pl.checkpoints.file import read_checkpoint_file
from rher_pl.choices import Engine
from rher_pl.cli.option_names import as_arguments, dotted_name
from rher_pl.errors import Stopped
from rher_pl.fit import main

NAMES = [
    "TD3",
    "ConfigError",
    "Evaluation",
    "GymnasiumTask",
    "RHERModule",
    "RelayDataModule",
    "Run",
    "TrainedPolicy",
    "TrainingError",
    "load_policy",
    "policy_of",
    "train",
]
"""To be kept: other people's programs use them."""
HEAVY = {"torch", "lightning", "torchrl", "mlflow", "mujoco", "matplotlib", "pandas"}
OPTIONS: dict[str, Any] = {"video.every_evaluations": 0}
OPTIONS |= {f"{k}.{name}": value for k, section in TINY.items() for name, value in section.items()}


class HalfTD3(rher_pl.TD3):
    """Learns from half of each error, so that a test can tell that it was used."""

    def update_critic(self, batch: Any) -> dict[str, torch.Tensor]:
        q = self.critic(batch["inputs"], batch["action"])
        loss = 0.5 * (q - self.target_q(batch)).square().mean()
        self.descend(self.critic_optimizer, loss)
        return {"critic_loss": loss.detach(), "q": q.detach()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all runs are made, as it takes seconds to begin a store."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(autouse=True)
def in_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


class Seen(pl.Callback):
    """Notes the env steps after each iteration."""

    def __init__(self) -> None:
        self.env_steps: list[int] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.env_steps.append(pl_module.env_steps)


SEEN = Seen()


@pytest.fixture(scope="module")
def half(folder: Path) -> rher_pl.Run:
    """A run of a learner of one's own, with callback and loggers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, text in {"MODE": "offline", "SILENT": "true", "ERROR_REPORTING": "false"}.items():
            patch.setenv(f"WANDB_{name}", text)
        more: dict[str, Any] = {"learner": HalfTD3, "seed": 3, "callbacks": SEEN}
        wandb = WandbLogger(save_dir="wandb")
        more["logger"] = [CSVLogger("csv"), TensorBoardLogger("board"), wandb]
        run = rher_pl.train("point_push", OPTIONS, **more)
        wandb.experiment.finish()  # else its file is whole when the process ends
        return run


def checkpoints() -> set[Path]:
    """Of all runs so far, the last one of each."""
    return set(Path().absolute().glob("mlruns/checkpoints/*/last.ckpt"))


# --- names -------------------------------------------------------------------------------------


def test_the_names_are_those_that_were_promised() -> None:
    assert sorted(rher_pl.__all__) == sorted(NAMES)
    assert set(NAMES) < set(dir(rher_pl))
    for name in NAMES:
        assert getattr(rher_pl, name).__name__ == name
    assert (Path(rher_pl.__file__).parent / "py.typed").exists()
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        rher_pl.trian  # type: ignore[attr-defined]  # noqa: B018


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    code = "import sys, rher_pl; dir(rher_pl), rher_pl.ConfigError; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


# --- training ----------------------------------------------------------------------------------


def test_it_trains_as_the_command_does(half: rher_pl.Run, tmp_path: Path) -> None:
    config, before = write_config(tmp_path), checkpoints()
    more = ["--seed_everything", "3", "--model.gamma", "0.9", "--video.every_evaluations", "0"]
    assert main(["--config", config, *more]) == 0
    (path,) = checkpoints() - before
    expected: dict[str, torch.Tensor] = read_checkpoint_file(path)["state_dict"]
    shown = warnings.formatwarning
    run = rher_pl.train(config, {"video.every_evaluations": 0}, seed=3, gamma=0.9)
    assert warnings.formatwarning is shown, "of the caller's process"
    found, other = run.module.state_dict(), half.module.state_dict()
    assert found.keys() == expected.keys() == other.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not all(torch.equal(other[name], expected[name]) for name in expected)
    usual, of_half = (each.history["train/critic_loss"].iloc[0] for each in (run, half))
    assert 0 < of_half < 0.5 * usual  # the mean of both critics' errors halved, not their sum


def test_a_run_tells_what_came_of_it(half: rher_pl.Run) -> None:
    assert isinstance(half.history, pd.DataFrame)
    assert list(half.history["env_steps"]) == EVALUATIONS
    assert {"eval/success", "train/critic_loss"} <= set(half.history.columns)
    assert half.checkpoint is not None and half.checkpoint.parent.name == half.run_id
    assert half.checkpoint.name == "best.ckpt"
    assert type(half.module.td3) is HalfTD3 and half.module.env_steps == EVALUATIONS[-1]
    assert half.policy is half.policy
    found = half.policy.evaluate(episodes=7, seed=5)
    assert found.figures["episodes"] == 7 and found.figures["env_steps"] in EVALUATIONS
    assert found.interval[0] <= found.success <= found.interval[1]
    assert repr(found).endswith("seeds 5 to 11)")
    task = rher_pl.GymnasiumTask("FetchReach-v4", ["reach"])
    assert repr(task) == "GymnasiumTask(id='FetchReach-v4', objects=['reach'])"
    for each in (half, half.policy, found, task, rher_pl.policy_of(half.module)):
        assert "\n" not in repr(each) and type(each).__name__ in repr(each)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"gama": 0.9}, "unknown option gama: did you mean gamma?"),
        ({"model.gama": 0.9}, "did you mean model.gamma?"),
        ({"gamma": 2}, r"gamma must be in \(0, 1\)"),
        ({"gamma": "high"}, "model.gamma cannot be high: write a number"),
        ({"gamma": {0.9}}, "model.gamma cannot be a set"),
        ({"compiled": True}, "model.compiled is now model.engine"),
        ({"gamma": 0.9, "model.gamma": 0.8}, "model.gamma is given twice"),
        ({"callbacks": 3}, "trainer.callbacks cannot be 3"),
        ({"learner": "nowhere.Mine"}, "nowhere.Mine: No module named 'nowhere': write the path"),
        ({"learner": pl.Trainer}, "cannot be .*Trainer: write the path of a class derived"),
        ({"learner": HalfTD3, "engine": "native"}, "not what HalfTD3 does: write engine eager"),
        ({"ckpt_path": "last", "seed": 99}, "no last checkpoint"),
    ],
    ids=str,
)
def test_mistakes_are_exceptions_of_one_line(options: dict[str, Any], line: str) -> None:
    before = checkpoints()
    with pytest.raises(rher_pl.ConfigError, match=line) as refused:
        rher_pl.train("point_push", options)
    assert "\n" not in str(refused.value) and len(str(refused.value)) <= 300
    assert checkpoints() == before


def test_a_config_that_is_not_there() -> None:
    with pytest.raises(rher_pl.ConfigError, match="such as push"):
        rher_pl.train("psuh")
    with pytest.raises(rher_pl.ConfigError, match="episodes must be at least 1"):
        rher_pl.load_policy("push").evaluate(episodes=0)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
)
def test_a_signal_ends_it_as_it_ends_a_program(
    number: int, expected: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise Stopped(number)

    monkeypatch.setattr("rher_pl.api.run_cli", stop)
    with pytest.raises(expected):
        rher_pl.train("point_push")


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("gamma", "model.gamma"),
        ("num_envs", "data.num_envs"),
        ("max_epochs", "trainer.max_epochs"),
        ("folder", "recorder.folder"),
        ("every_evaluations", "video.every_evaluations"),
        ("seed", "seed_everything"),  # data.seed is linked to it
        ("task", "data.task"),  # model.task is linked to it
        ("data.task.epsilon", "data.task.epsilon"),
    ],
)
def test_a_bare_name_is_an_option(name: str, option: str) -> None:
    assert dotted_name(name) == option


def test_a_name_that_two_sections_have_is_asked_for_whole() -> None:
    with pytest.raises(rher_pl.ConfigError, match=r"until\.episodes or video\.episodes: write the"):
        dotted_name("episodes")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98, "0.98"),
        (1e-5, "1e-05"),
        (np.float32(0.5), "0.5"),
        (np.int64(3), "3"),
        (True, "true"),
        (None, "null"),
        ("a: b", "a: b"),
        (Path("a/b"), "a/b"),
        (Engine.eager, "eager"),
        ((64, 192), "[64, 192]"),
        (HalfTD3, f"{__name__}.HalfTD3"),
    ],
    ids=str,
)
def test_values_are_written_as_on_the_command_line(value: Any, text: str) -> None:
    assert as_arguments([("model.x", value)]) == ([f"--model.x={text}"], {})


def test_a_task_object_is_written_as_in_a_config() -> None:
    task = rher_pl.GymnasiumTask("PandaPush-v3", ["push"], gripper=[0, 1, 2])
    ((argument,), _) = as_arguments([("task", task)])
    assert argument.startswith('--data.task={"class_path": "rher_pl.GymnasiumTask", "init_args"')


# --- with Lightning ----------------------------------------------------------------------------


def events(folder: Path) -> dict[str, dict[int, float]]:
    """Scalars in TensorBoard's files: metric, env steps, value."""
    found: dict[str, dict[int, float]] = {}
    for file in folder.rglob("events.out.tfevents.*"):
        content = file.read_bytes()
        while content:  # length, its check sum, an event, its check sum
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
            content = content[16 + length :]
    return found


BLOCK, PART = 32 * 1024, struct.Struct("<IHB")
"""Of W&B's file, a log of LevelDB: a part has check sum, length and kind, and crosses no block."""


def wandb_records(content: bytes) -> Iterator[Record]:
    """All that a run's file holds, in order."""
    at, record = PART.size, b""  # as long as the head of the file
    while at < len(content):
        if (left := BLOCK - at % BLOCK) < PART.size:
            at += left
            continue
        _, length, kind = PART.unpack_from(content, at)
        at += PART.size + length
        record += content[at - length : at]
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(record)
            record = b""


def wandb_history(folder: Path) -> dict[str, dict[int, float]]:
    """What a run that was never sent logged: metric, env steps, value."""
    (file,) = folder.rglob("run-*.wandb")
    found: dict[str, dict[int, float]] = {}
    for record in wandb_records(file.read_bytes()):
        items = {"/".join(i.nested_key) or i.key: i.value_json for i in record.history.item}
        for name, value in items.items():
            step = int(json.loads(items["trainer/global_step"]))
            found.setdefault(name, {})[step] = json.loads(value)
    return found


def test_every_metric_reaches_the_loggers_that_python_gives(half: rher_pl.Run) -> None:
    """CSV, TensorBoard, and W&B in its offline mode, as MLflow's record has them."""
    assert SEEN.env_steps == ITERATIONS
    (file,) = Path("csv").rglob("metrics.csv")
    table = pd.read_csv(file).set_index("step")
    board, wandb = events(Path("board")), wandb_history(Path("wandb"))
    recorded = MlflowClient("sqlite:///mlruns/mlflow.db").get_run(half.run_id).data.metrics
    assert len(recorded) > 30 and set(recorded) <= set(table.columns)
    assert set(half.history.columns) - {"env_steps"} <= set(table.columns)
    for name in table.columns:
        expected = table[name].dropna().to_dict()
        assert board[name] == pytest.approx(expected), name
        assert wandb[name] == pytest.approx(expected), name
        assert set(expected) <= set(ITERATIONS)


def test_module_and_data_module_with_a_plain_trainer() -> None:
    options = {"batch_size": 16, "eval_every_env_steps": 100, "max_episode_steps": 20}
    data = rher_pl.RelayDataModule("PointPush-v0", **options)
    module = rher_pl.RHERModule("PointPush-v0", hidden_size=16, learner=HalfTD3)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(module, data)
    policy = rher_pl.policy_of(module)
    assert policy.evaluate(5).figures["episodes"] == 5
    assert policy.task.max_episode_steps == 20
    assert module.hparams["learner"] == f"{__name__}.HalfTD3"


def test_a_checkpoint_never_starts_the_learner_that_it_names(half: rher_pl.Run) -> None:
    assert half.checkpoint is not None
    last = half.checkpoint.with_name("last.ckpt")
    again: dict[str, Any] = OPTIONS | {"trainer.max_epochs": 3, "ckpt_path": last, "seed": 3}
    with pytest.raises(rher_pl.ConfigError, match=r"use --model.learner .*HalfTD3"):
        rher_pl.train("point_push", again)
    with pytest.raises(rher_pl.ConfigError, match="give the class itself"):
        rher_pl.RHERModule.load_from_checkpoint(last, weights_only=True)
    assert rher_pl.load_policy(last).evaluate(2).figures["episodes"] == 2
    gone_on = rher_pl.train("point_push", again, learner=HalfTD3)
    assert gone_on.run_id == half.run_id and len(gone_on.history) == 3
