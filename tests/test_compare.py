"""Comparing runs: what is read, how seeds are put together, what is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from mlflow.tracking import MlflowClient

from rher_pl.compare.__main__ import main
from rher_pl.compare.curve import Curve, Point
from rher_pl.compare.curves import find
from rher_pl.compare.groups import make_groups
from rher_pl.compare.statistics import (
    Centre,
    first_reaching,
    interquartile_mean,
    trailing_mean,
    worst_seed,
)
from rher_pl.compare.store import Store
from rher_pl.errors import ConfigError
from rher_pl.tracking.experiment import begin_run
from rher_pl.tracking.store import absolute_uri

ROOT = Path(__file__).parents[1]


def curve(seed: int, success: dict[int, float], source: str = "", **config: str) -> Curve:
    points = {step: Point(value, step * 2, step / 10) for step, value in success.items()}
    return Curve(source or f"{seed}{config}", "FetchPush-v4", seed, config, points)


# --- seeds put together ------------------------------------------------------------------------


def test_interquartile_mean_drops_the_outer_quarters() -> None:
    assert interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0, -50.0])) == 2.0
    assert interquartile_mean(np.array([0.0, 0.0, 3.0])) == 1.0  # too few to cut


def test_a_mean_over_seeds_keeps_what_the_interquartile_mean_drops() -> None:
    success = {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0, 4: 0.0}
    curves = [curve(seed, {10: value}) for seed, value in success.items()]
    (robust,), (plain,) = make_groups(curves), make_groups(curves, Centre.mean)
    assert (robust.last_five, plain.last_five) == (1.0, pytest.approx(0.8))
    assert robust.cost(0.9) is not None and plain.cost(0.9) is None
    for group in (robust, plain):
        assert (group.worst.seed, group.worst.last_five) == (4, 0.0)


def test_the_worst_seed_is_that_of_the_last_five_evaluations() -> None:
    early = np.array([[0.0] * 5 + [1.0] * 5, [1.0] * 5 + [0.9] * 5])
    assert worst_seed(early) == 1


def test_trailing_means_need_a_full_window() -> None:
    assert trailing_mean(np.arange(6.0)).tolist() == [2.0, 3.0]
    assert trailing_mean(np.ones((2, 4))).shape == (2, 0)


@pytest.mark.parametrize(
    ("success", "level", "window", "expected"),
    [
        ([0.0, 0.9, 0.1, 0.9], 0.9, 1, 20),
        ([0.0, 0.9, 0.1, 0.9], 0.5, 2, 30),
        ([0.3, 0.3, 0.3], 0.9, 1, None),
        ([1.0] * 4, 0.5, 5, None),
        ([1.0] * 5, 0.5, 5, 50),
        ([0.1 + 0.2] * 3, 0.3, 3, 30),
        ([0.95 - 1e-12], 0.95, 1, 10),
    ],
)
def test_a_level_is_reached_where_the_trailing_mean_is_there(
    success: list[float], level: float, window: int, expected: int | None
) -> None:
    steps = [10 * (i + 1) for i in range(len(success))]
    assert first_reaching(steps, np.array(success), level, window) == expected


def test_groups_are_configs_and_hold_common_env_steps() -> None:
    runs = [curve(s, {10: 0.1 * s, 20: 0.5, 30: 1.0}, gamma="0.95") for s in range(4)]
    runs.append(curve(4, {10: 0.4, 20: 0.5}, gamma="0.95"))
    runs.append(curve(0, {10: 0.0}, gamma="0.98"))
    first, second = make_groups(runs)
    assert (first.label, second.label) == ("FetchPush-v4, gamma 0.95", "FetchPush-v4, gamma 0.98")
    assert first.seeds == (0, 1, 2, 3, 4) and first.env_steps.tolist() == [10, 20]
    assert first.centre.tolist() == pytest.approx([0.2, 0.5])
    assert second.band() is None


def test_band_holds_the_centre_and_closes_where_seeds_agree() -> None:
    (group,) = make_groups([curve(s, {10: s / 10, 20: 0.5}) for s in range(5)])
    band = group.band()
    assert band is not None
    low, high = band
    assert low[0] < group.centre[0] < high[0]
    assert low[1] == high[1] == 0.5
    again = group.band()
    assert again is not None and np.array_equal(again, band)  # resampling has a fixed seed


def test_cost_is_that_of_the_first_evaluation_at_the_level() -> None:
    (group,) = make_groups([curve(0, {10: 0.2, 20: 0.9, 30: 0.5, 40: 0.95})])
    cost = group.cost(0.9)
    assert cost is not None
    assert (cost.env_steps, cost.updates, cost.seconds, cost.trailing) == (20, 40, 2.0, None)
    assert group.cost(0.99) is None


def test_of_two_runs_of_a_seed_the_first_counts() -> None:
    twice = [curve(0, {10: 0.7}, source="new"), curve(0, {10: 0.1}, source="old")]
    (group,) = make_groups(twice)
    assert group.success.tolist() == [[0.7]]


def test_seeds_without_a_common_evaluation_are_refused() -> None:
    with pytest.raises(ConfigError, match="eval_every_env_steps"):
        make_groups([curve(0, {10: 0.1}), curve(1, {11: 0.1})])


def test_seeds_whose_episodes_end_early_meet_where_their_updates_do() -> None:
    """An epoch is as many episodes and updates in all seeds, not as many env steps."""
    first = Curve("a", "T", 0, {}, {500: Point(0.2, 10, 1.0), 540: Point(0.6, 20, 2.0)})
    second = Curve("b", "T", 1, {}, {480: Point(0.4, 10, 1.0), 500: Point(1.0, 20, 3.0)})
    (group,) = make_groups([first, second], Centre.mean)
    assert group.env_steps.tolist() == [490, 520]
    assert group.success.tolist() == [[0.2, 0.6], [0.4, 1.0]]


# --- benchmark records ---------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Records of a config and of two changes of it, as benchmarks write them."""
    folder = tmp_path / "results"
    for name, rise in (
        ("push", 0.1),
        ("push+data.num_envs=8", 0.2),
        ("push+model.gamma=0.9", 0.05),
    ):
        place = folder / "FetchPush-v4" / name
        place.mkdir(parents=True)
        records = [
            {
                "task": "FetchPush-v4",
                "seed": seed,
                "env_steps": 2500 * step,
                "updates": 800 * step,
                "seconds": 10.0 * step,
                "success": min(rise * step + 0.01 * seed**2, 1.0),
                "success_not_solved_at_reset": min(rise * step, 1.0),
            }
            for seed in range(5)
            for step in range(1, 11)
        ]
        (place / "records.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in records))
    return folder


def test_a_folder_of_results_is_a_group_for_each_of_its_records(results: Path) -> None:
    groups = make_groups(find([str(results)], "no store", "success"))
    assert {group.label for group in groups} == {
        "FetchPush-v4, push",
        "FetchPush-v4, push, num_envs 8",
        "FetchPush-v4, push, gamma 0.9",
    }
    assert all(group.seeds == (0, 1, 2, 3, 4) for group in groups)
    (one,) = make_groups(find([str(results / "FetchPush-v4" / "push")], "", "success"))
    assert one.success[3].tolist() == pytest.approx([min(0.1 * s + 0.09, 1) for s in range(1, 11)])
    (unsolved,) = make_groups(
        find([str(results / "FetchPush-v4/push/records.jsonl")], "", "success_not_solved_at_reset")
    )
    assert unsolved.centre[0] == pytest.approx(0.1)


def test_records_without_clocks_are_read(tmp_path: Path) -> None:
    line = {"task": "T", "seed": 0, "env_steps": 10, "success": 1.0}
    (tmp_path / "mine.jsonl").write_text(json.dumps(line) + "\n")
    (group,) = make_groups(find([str(tmp_path / "mine.jsonl")], "", "success"))
    cost = group.cost(0.9)
    assert cost is not None and (cost.updates, cost.seconds) == (None, None)
    assert group.label == "T, mine"


# --- the store ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Runs of two seeds and two values of gamma, and one without an evaluation."""
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder}/mlflow.db"
    runs = [(0, "0.95", 0.9), (1, "0.95", 0.7), (0, "0.98", 0.2), (9, "0.95", None)]
    for seed, gamma, success in runs:
        name = f"push-td3-seed{seed}-{gamma}"
        tags = {"task": "FetchPush-v4", "seed": str(seed)}
        params = {"model.gamma": gamma, "data.seed": str(seed)}
        place = folder / "artifacts"
        run = begin_run(uri, place, "FetchPush-v4", name, None, tags, params)
        if success is not None:
            run.log_metrics({"perf/seconds": 3.0, "perf/updates": 80.0}, 50)
            run.log_metrics({"eval/success": success}, 50)
            run.log_metrics({"perf/seconds": 7.0, "perf/updates": 160.0}, 100)
            run.log_metrics({"eval/success": 1.0}, 100)
        run.end("FINISHED", {})
    return uri


def test_runs_are_read_by_name_pattern_and_id(store: str) -> None:
    found = {c.seed: c for c in Store(store).read("push-*-0.95", "success")}
    assert set(found) == {0, 1}
    assert found[1].points == {50: Point(0.7, 80, 3.0), 100: Point(1.0, 160, 7.0)}
    client = MlflowClient(absolute_uri(store))
    (run,) = client.search_runs(["1"], "attributes.run_name = 'push-td3-seed0-0.98'")
    (single,) = Store(store).read(run.info.run_id, "success")
    assert single.config == {"model.gamma": "0.98"}


def test_runs_of_a_store_are_grouped_and_printed(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "made.png"
    options = ["--tracking_uri", store, "--published", "--out", str(picture)]
    assert main(["push-*", *options]) == 0
    out = capsys.readouterr().out
    assert "gamma 0.95" in out and "gamma 0.98" in out and "RHER paper" in out
    assert "100 (-)" in out and "160 updates" in out
    assert np.unique(imread(picture)[..., 0]).size > 20


def test_json_holds_what_the_table_does(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    push = str(results / "FetchPush-v4" / "push")
    assert main([push, "--published", "--json"]) == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    (group,) = values["groups"]
    assert group["seeds"] == [0, 1, 2, 3, 4]
    assert group["reached"]["0.95"]["env_steps"] in group["env_steps"]
    assert len(group["band_low"]) == len(group["interquartile_mean"]) == len(group["env_steps"])
    assert all(np.array(group["band_low"]) <= np.array(group["band_high"]))
    assert group["worst_seed"] == {"seed": 0, "last_five": pytest.approx(0.8)}
    assert group["mean"] != group["interquartile_mean"]
    names = [peer["method"] for peer in values["published"]["FetchPush-v4"]]
    assert names == ["RHER paper", "HER, same paper"]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "RUN"),
        (["none.jsonl"], "no file none.jsonl"),
        ([__file__.replace(".py", ".jsonl")], "no file"),
        (["push", "--tracking_uri", "sqlite:///none.db"], "--tracking_uri"),
        (["push", "--tracking_uri", "{store}"], "the latest are push-td3-seed9"),
        (["push-td3-seed9-*", "--tracking_uri", "{store}"], "no evaluation"),
        (["{empty}"], "no records.jsonl in"),
        (["push", "--out", "picture.bmp"], ".png"),
        (["push", "--out", "none/picture.png"], "folder"),
        (["push", "--publish"], "--publish"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    hint: str,
    store: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    meant = {"{store}": store, "{empty}": str(tmp_path)}
    assert main([meant.get(argument, argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1 and hint in message


def test_a_file_of_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.jsonl").write_text('{"seed": 1}\n')
    assert main([str(tmp_path / "other.jsonl")]) == 2
    assert "no file of benchmark records" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "rher_pl.compare", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert "torch" not in done.stderr and "matplotlib" not in done.stderr
    assert "--published" in done.stdout
