"""Suites of variants: what they say, what they record, what the table and the picture show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.image import imread
from test_benchmarks import TINY, record

from benchmarks import ablation
from benchmarks.ablation import main
from benchmarks.ablation_summary import HEADINGS, RowCurves, cells, read, table
from benchmarks.learning_runs import Runs
from benchmarks.learning_settings import resolve
from benchmarks.plot_ablation import plot
from benchmarks.records import Records
from benchmarks.suite import Row, Suite, covers, known_suites, load, reused
from benchmarks.summary import curves

ROW = Row("made", "made up", {}, seeds=(0, 1), env_steps=100, reuse=None)


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Suites name files from there."""
    monkeypatch.chdir(Path(__file__).parents[1])


def write_suite(folder: Path, rows: dict[str, Any]) -> str:
    (folder / "tiny.yaml").write_text(TINY)
    content = {"config": str(folder / "tiny.yaml"), "seeds": [3], "env_steps": 50, "rows": rows}
    (folder / "some.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return str(folder / "some.yaml")


def measured(seed: int, env_steps: int, success: float, **metrics: float) -> dict[str, Any]:
    known = {"eval/q/push": -2.0, "eval/monte_carlo_return/push": -5.0}
    known |= {"relay/innr_share/push": 0.25, "relay/contact_rate": 0.75}
    return record(seed, env_steps, success, metrics=known | metrics)


# --- suites ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", known_suites())
def test_shipped_suites_resolve_and_differ_from_the_first_row_in_their_options_only(name):
    shipped = load(name)
    first, *others = shipped.rows
    shared = {"model.compiled", "data.num_envs"}
    shared |= {"data.reward_radius", "data.fading_guide", "data.pipelined"}
    assert set(first.options) <= shared, "what all rows share"
    reference = yaml.safe_load(resolve(shipped.config, first.overrides))
    for row in others:
        settings = yaml.safe_load(resolve(shipped.config, row.overrides))
        changed = {
            f"{group}.{key}"
            for group, values in settings.items()
            for key, value in values.items()
            if reference[group][key] != value
        }
        said = {key for key, value in row.options.items() if first.options.get(key) != value}
        assert changed == said, row.name


def test_the_push_suite_has_the_rows_that_the_claims_need():
    rows = {row.name: row.options for row in load("push").rows}
    assert {"rher_td3", "rher_ddpg", "her_td3", "no_guide", "sequential"} <= rows.keys()
    batch = yaml.safe_load(load("push").config.read_text())["data"]["batch_size"]
    assert rows["her_td3"]["data.batch_size"] == sum(batch), "as many samples for HER in all"


def test_rows_are_chosen_and_budgets_replaced():
    chosen = load("push").select(["no_guide"], [7, 8], 5_000)
    assert [(r.name, r.seeds, r.env_steps) for r in chosen.rows] == [("no_guide", (7, 8), 5_000)]
    assert load("push").select(None, None, None) == load("push")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--suite", "pull"], "choose from push"),
        (["--rows", "nothing"], "rher_td3"),
        (["--seeds", "0", "0"], "different"),
        (["--env_steps", "0"], "--env_steps"),
        (["--jobs", "0"], "--jobs"),
        (["--plot_only"], "nothing to show"),
        (["--suite", "{typo}"], "labell"),
        (["--suite", "{unknown}"], "model.gama"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    if arguments[-1] == "{typo}":
        arguments = ["--suite", write_suite(tmp_path, {"one": {"labell": "x"}})]
    if arguments[-1] == "{unknown}":
        arguments = ["--suite", write_suite(tmp_path, {"one": {"options": {"model.gama": 1}}})]
    folders = ["--results", str(tmp_path / "results"), "--scratch", str(tmp_path / "scratch")]
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, *folders])
    message = capsys.readouterr().err
    assert stopped.value.code == 2
    assert words in message and message.count("\n") == 1
    assert not (tmp_path / "results").exists()


# --- what stands for a row ---------------------------------------------------------------------


@pytest.mark.parametrize("same", [True, False])
def test_a_learning_benchmark_stands_for_a_row_with_the_same_settings_only(tmp_path, same):
    other, own = Records(tmp_path / "learning" / "push.jsonl"), Records(tmp_path / "made.jsonl")
    for seed in (0, 1):
        other.append(record(seed, 100))
        other.append(record(seed, 200))
    other.path.with_suffix(".yaml").write_text("model: {gamma: 0.95}")
    own.path.with_suffix(".yaml").write_text(f"model: {{gamma: {0.95 if same else 0.9}}}")
    row = replace(ROW, reuse=other.path)
    found = reused(row, own)
    assert (found is not None and found.path == other.path) == same
    assert covers(other, row) and not covers(other, replace(row, seeds=(0, 2)))
    shown = read(Suite("some", Path(), (row,)), tmp_path)
    assert [data.curves.env_steps.tolist() for data in shown] == [[100]] * same, "its budget"
    own.append(record(0, 50))
    assert reused(row, own) is None, "its own records come first"


# --- figures -----------------------------------------------------------------------------------


def made(*success: float, seeds: int = 2, place: int = 0, **metrics: float) -> RowCurves:
    records = [
        measured(seed, 10 * (i + 1), value + 0.1 * seed, **metrics)
        for seed in range(seeds)
        for i, value in enumerate(success)
    ]
    data = curves(records)
    assert data is not None
    return RowCurves(ROW, place, data, Records(Path()))


def test_a_line_of_the_table_on_a_worked_example():
    data = made(0.4, 0.5, 0.5, 0.5, 0.6, 0.9, 0.0)  # means over seeds: 0.05 more
    line = dict(zip(HEADINGS, cells(data), strict=True))
    assert line["seeds"] == "2" and line["env steps"] == "70"
    # Trailing means of five: 0.55 at 50, 0.65 at 60, 0.55 at 70.
    assert (line["50% at"], line["90% at"]) == ("50", "-")
    assert line["95% after"] == "-"
    assert line["best"] == "0.650"
    assert line["last ± std over seeds"] == "0.550 ± 0.071"
    assert (line["Q - MC"], line["INNR"], line["contact"]) == ("3.000", "0.250", "0.750")
    assert np.allclose(data.reach, 1.0)


def test_seconds_are_those_to_the_evaluation_at_which_the_level_is_reached():
    records = [
        measured(seed, step, 0.96 if step > 20 else 0.1) | {"seconds": seed * 100.0 + step}
        for seed in range(3)
        for step in range(10, 100, 10)
    ]
    data = curves(records)
    assert data is not None
    row = RowCurves(ROW, 0, data, Records(Path()))
    line = dict(zip(HEADINGS, cells(row), strict=True))
    assert (line["95% at"], line["95% after"]) == ("70", "170 s")  # seconds 70, 170 and 270


def test_what_was_not_recorded_is_a_dash():
    lone = record(0, 10, success_per_subtask={"push": 0.5})
    data = curves([lone])
    assert data is not None
    row = RowCurves(ROW, 0, data, Records(Path()))
    assert np.isnan(row.reach).all(), "a chain of one has no first subtask of its own"
    assert cells(row)[-4:] == ["0.500", "-", "-", "-"]
    assert table("made", [row]).row_count == 1


def test_the_picture_shows_every_row_and_panel(tmp_path):
    rows = [made(0.1, 0.5), made(0.3, 0.2, seeds=1, place=1)]
    plot(rows, tmp_path / "both.png")
    plot(rows[:1], tmp_path / "one.png")
    both, one = imread(tmp_path / "both.png"), imread(tmp_path / "one.png")
    orange = np.array([0xD5, 0x5E, 0x00]) / 255.0
    for picture, present in ((both, True), (one, False)):
        hits = (np.abs(picture[..., :3] - orange).max(-1) < 0.02).nonzero()[1]
        width = picture.shape[1]
        for panel in ((0, 0.5), (0.5, 0.75), (0.75, 1)):
            inside = (hits > panel[0] * width) & (hits < panel[1] * width)
            assert inside.any() == present


def test_first_seeds_of_all_rows_are_trained_before_any_second_one(tmp_path, monkeypatch, capsys):
    """A row that a learning benchmark stands for is not trained at all."""
    queue: list[tuple[str, int, int]] = []

    def note(pairs: list[tuple[Runs, int]], jobs: int) -> None:
        queue.extend((runs.name, seed, runs.env_steps) for runs, seed in pairs)

    monkeypatch.setattr(ablation, "bring_to_budget", note)
    rows = {"joint": {"reuse": str(tmp_path / "old.jsonl")}, "one": {}, "two": {"env_steps": 70}}
    name = write_suite(tmp_path, rows)
    arguments = ["--suite", name, "--seeds", "4", "5", "--results", str(tmp_path / "res")]
    arguments += ["--scratch", str(tmp_path / "scratch")]
    old = Records(tmp_path / "old.jsonl")
    for seed in (4, 5):
        old.append(record(seed, 50))
    settings = resolve(tmp_path / "tiny.yaml", [])
    old.path.with_suffix(".yaml").write_text(settings)
    main(arguments)
    assert "joint" in capsys.readouterr().out
    assert queue == [("one", 4, 50), ("two", 4, 70), ("one", 5, 50), ("two", 5, 70)]
    old.path.with_suffix(".yaml").write_text(settings.replace("hidden_size: 8", "hidden_size: 9"))
    queue.clear()
    with pytest.raises(SystemExit):  # nothing is recorded, so there is nothing to show
        main([*arguments, "--rows", "joint"])
    assert [entry[:2] for entry in queue] == [("joint", 4), ("joint", 5)]


def test_a_row_is_trained_recorded_and_not_trained_again(tmp_path, capsys):
    rows = {"joint": {}, "in_turn": {"options": {"model.mixing": "sequential"}}}
    arguments = ["--suite", write_suite(tmp_path, rows), "--jobs", "1"]
    arguments += ["--results", str(tmp_path / "res"), "--scratch", str(tmp_path / "scratch")]
    main([*arguments, "--rows", "in_turn"])
    capsys.readouterr()
    (recorded,) = Records(tmp_path / "res" / "in_turn.jsonl").read()
    assert recorded["name"] == "in_turn"
    assert (tmp_path / "res" / "some.png").exists()
    main([*arguments, "--rows", "in_turn"])
    assert "in_turn seed 3: complete" in capsys.readouterr().out
    main([*arguments, "--plot_only"])
    assert "in_turn" in capsys.readouterr().out
