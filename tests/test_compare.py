"""Comparing runs: what is read, how seeds are put together, what is shown."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from mlflow.tracking import MlflowClient

from rher_pl.compare.__main__ import main
from rher_pl.compare.curves import Curve, Point, Store
from rher_pl.compare.groups import interquartile_mean, make_groups
from rher_pl.errors import ConfigError
from rher_pl.tracking.mlflow_run import MLflowRun, absolute_uri

ROOT = Path(__file__).parents[1]
PUSH = ROOT / "benchmarks" / "results" / "learning" / "push.jsonl"


def curve(seed: int, success: dict[int, float], source: str = "", **config: str) -> Curve:
    points = {step: Point(value, step * 2, step / 10) for step, value in success.items()}
    return Curve(source or f"{seed}{config}", "FetchPush-v4", seed, config, points)


# --- seeds put together ------------------------------------------------------------------------


def test_interquartile_mean_drops_the_outer_quarters() -> None:
    assert interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0, -50.0])) == 2.0
    assert interquartile_mean(np.array([0.0, 0.0, 3.0])) == 1.0  # too few to cut


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
        run = MLflowRun.begin(uri, place, "FetchPush-v4", name, None, tags, params)
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


def test_json_holds_what_the_table_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(PUSH), "--published", "--json"]) == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    (group,) = values["groups"]
    assert group["seeds"] == [0, 1, 2, 3, 4]
    assert group["reached"]["0.95"]["env_steps"] in group["env_steps"]
    assert len(group["band_low"]) == len(group["interquartile_mean"]) == len(group["env_steps"])
    assert all(np.array(group["band_low"]) <= np.array(group["band_high"]))
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
        ([str(PUSH), "--out", "picture.bmp"], ".png"),
        ([str(PUSH), "--out", "none/picture.png"], "folder"),
        ([str(PUSH), "--publish"], "--publish"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], hint: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([store if a == "{store}" else a for a in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1 and hint in message


def test_a_file_of_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.jsonl").write_text('{"seed": 1}\n')
    assert main([str(tmp_path / "other.jsonl")]) == 2
    assert "no file of benchmark records" in capsys.readouterr().err


def test_help_is_quick() -> None:
    begin = time.perf_counter()
    command = [sys.executable, "-X", "importtime", "-m", "rher_pl.compare", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert time.perf_counter() - begin < 10.0
    assert "torch" not in done.stderr and "matplotlib" not in done.stderr
    assert "--published" in done.stdout
