"""Learning benchmarks: what is kept, what is refused, and what becomes of a killed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.learning.__main__ import main
from benchmarks.learning.records import Records, make_record
from benchmarks.learning.settings import differing, folder_name, read_overrides, resolve, task_name
from benchmarks.learning.trainings import Trainings
from rher_pl.compare.curves import read_records
from rher_pl.compare.groups import make_groups
from rher_pl.errors import ConfigError

ROOT = Path(__file__).parents[1]
SETTINGS = {"data": {"eval_every_env_steps": 10}, "model": {"gamma": 0.9}}


def test_overrides_are_named_in_the_folder() -> None:
    overrides = read_overrides(["--model.gamma", "0.9", "--data.batch_size=[32, 96]"])
    assert overrides == {"model.gamma": "0.9", "data.batch_size": "[32, 96]"}
    name = folder_name(Path("configs/push.yaml"), overrides)
    assert name == "push+data.batch_size=[32,96]+model.gamma=0.9"
    assert folder_name(Path("push.yaml"), {"trainer.x": "../../etc"}) == "push+trainer.x=....etc"


@pytest.mark.parametrize("config", ["panda_push", "push"])
def test_records_of_a_task_that_a_config_describes_have_its_name(config: str) -> None:
    settings = resolve(Path(f"configs/{config}.yaml"), {})
    assert task_name(settings) == {"panda_push": "PandaPush-v3", "push": "FetchPush-v4"}[config]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "no.yaml", "--seeds", "0", "--env_steps", "9"], "no config file no.yaml"),
        (["--env_steps", "9"], "--seeds"),
        (["--seeds", "0", "0", "--env_steps", "9"], "--seeds"),
        (["--seeds", "0", "--env_steps", "0"], "at least 1"),
        (["--seeds", "0"], "--env_steps"),
        (["--seeds", "0", "--env_steps", "9", "--model.gama=1"], "did you mean model.gamma?"),
        (["--seeds", "0", "--env_steps", "9", "--model.gamma"], "has no value"),
        (["--seeds", "0", "--env_steps", "9", "--seed_everything=1"], "use --seeds"),
        (["--seeds", "0", "--env_steps", "9", "--recorder.folder=x"], "model, data and trainer"),
        (["--plot_only"], "nothing to show"),
    ],
)
def test_bad_input_is_one_line(
    small_config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    folders = ["--results", str(tmp_path / "results"), "--scratch", str(tmp_path / "scratch")]
    assert main(["--config", str(small_config), *arguments, *folders]) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_records_are_those_of_the_run_and_keep_what_was_written(
    tmp_path: Path, make_record: Callable[..., Any]
) -> None:
    records = Records(tmp_path / "made")
    records.update(1, [make_record(1, 10)], SETTINGS)
    records.update(0, [make_record(0, 10), make_record(0, 20), make_record(0, 30)], SETTINGS)
    resumed = [make_record(0, 10, commit="def"), make_record(0, 20, commit="def")]
    records.update(0, resumed, SETTINGS)  # the run goes on from before the third one
    records.update(0, [*resumed, make_record(0, 30, 0.9, commit="def")], SETTINGS)
    found = [(r["env_steps"], r["success"], r["commit"]) for r in records.read(0)]
    assert found == [(10, 0.5, "abc"), (20, 0.5, "abc"), (30, 0.9, "def")]
    assert [r["env_steps"] for r in records.read(1)] == [10]
    assert records.settings == SETTINGS
    assert {path.name for path in records.folder.iterdir()} == {"records.jsonl", "settings.yaml"}


def test_versions_are_told_once_and_where_they_change(
    tmp_path: Path, make_record: Callable[..., Any]
) -> None:
    records, new = Records(tmp_path), {"torch": "1"}
    for count in (1, 2, 3, 4):  # as a run grows
        versions = [{"torch": "0"}, {"torch": "0"}, new, new][:count]
        made = [make_record(0, 10 * i, versions=v) for i, v in enumerate(versions, start=1)]
        records.update(0, made, SETTINGS)
    assert [r.get("versions") for r in records.read()] == [{"torch": "0"}, None, new, None]


def test_other_settings_are_named_and_refused(
    tmp_path: Path, make_records: Callable[..., Records]
) -> None:
    other = {"data": {"eval_every_env_steps": 10}, "model": {"gamma": 0.95}}
    assert differing(SETTINGS, other) == ["model.gamma"]
    records = make_records("made", [0.5])
    with pytest.raises(ConfigError, match=r"data.eval_episodes.*model.gamma"):
        Trainings("made", records, SETTINGS, tmp_path / "scratch", 20)


def test_an_option_that_is_newer_than_a_record_had_its_default() -> None:
    older = {"data": {"eval_every_env_steps": 10}, "model": {"gamma": 0.95}}
    newer = {"data": {"eval_every_env_steps": 10, "hold_steps": 1}, "model": {"gamma": 0.95}}
    assert differing(newer, older) == []
    newer["data"]["hold_steps"] = 4
    assert differing(newer, older) == ["data.hold_steps"]


def test_runs_under_other_settings_are_not_continued(tmp_path: Path) -> None:
    scratch, records = tmp_path / "scratch", Records(tmp_path / "none")
    Trainings("made", records, SETTINGS, scratch, 20)
    (scratch / "seed0").mkdir()
    assert Trainings("made", records, SETTINGS, scratch, 25).epochs == 3
    assert (scratch / "seed0").exists()
    Trainings("made", records, SETTINGS | {"model": {"gamma": 0.8}}, scratch, 20)
    assert not (scratch / "seed0").exists()


def children(process: int) -> list[int]:
    """Ids of the processes that any thread of a process began."""
    files = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]


def comparable(records: Records) -> list[dict[str, Any]]:
    """Without what depends on speed."""
    return [
        {key: value for key, value in record.items() if key != "seconds"}
        | {"metrics": {k: v for k, v in record["metrics"].items() if not k.startswith("perf/")}}
        for record in records.read()
    ]


@pytest.mark.timeout(600)
def test_a_killed_benchmark_is_continued_by_the_same_command(
    small_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two seeds killed in the middle become what they are when nothing happens."""

    def arguments(name: str) -> list[str]:
        folders = ["--results", str(tmp_path / name), "--scratch", str(tmp_path / name / "runs")]
        return ["--config", str(small_config), "--seeds", "0", "1", "--env_steps", "1000", *folders]

    place = Path("PointPush-v0", "small")
    killed, whole = (Records(tmp_path / name / place) for name in ("killed", "whole"))
    benchmark = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.learning", *arguments("killed")], cwd=ROOT
    )
    while not killed.read() and benchmark.poll() is None:
        time.sleep(0.02)
    for process in (*children(benchmark.pid), benchmark.pid):
        os.kill(process, signal.SIGKILL)
    benchmark.wait()
    assert 0 < len(killed.read()) < 20, "it was killed in the middle"
    for name in ("killed", "whole"):
        assert main(arguments(name)) == 0
    steps = list(range(100, 1001, 100))
    assert [(r["seed"], r["env_steps"]) for r in killed.read()] == [
        (seed, step) for seed in (0, 1) for step in steps
    ]
    assert comparable(killed) == comparable(whole)
    first = killed.read()[0]
    assert first["task"] == "PointPush-v0" and list(first["success_per_subtask"])[-1] == "push"
    assert first["updates"] == 4 and "torch" in first["versions"]
    assert (killed.folder / "curve.png").is_file()
    (group,) = make_groups(read_records(killed.path, "success"))
    assert group.seeds == (0, 1) and group.env_steps.tolist() == steps
    capsys.readouterr()
    assert main(arguments("killed")) == 0  # complete: nothing is trained
    assert "10 of 10 evaluations" in capsys.readouterr().out
    assert comparable(killed) == comparable(whole)


def test_a_record_keeps_all_that_was_measured_once() -> None:
    """What stands under a key of its own is not among the metrics; what only begins alike is."""
    row = {
        "env_steps": 100.0,
        "perf/seconds": 1.0,
        "eval/success": 0.5,
        "eval/success_not_solved_at_reset": 0.4,
        "eval/success/push": 0.5,
        "eval/success_standing": 0.3,
        "eval/success_last_policy": 0.2,
    }
    record = make_record(row, "Task", {"seed": 0, "commit": "c", "versions": {}})
    assert record["success_per_subtask"] == {"push": 0.5}
    assert record["metrics"] == {"eval/success_last_policy": 0.2, "eval/success_standing": 0.3}
