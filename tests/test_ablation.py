"""Suites of variants: what they say, in which order they train, what the tables show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.ablation import __main__ as ablation
from benchmarks.ablation.claims import MEASURES, fall, judge, judged, steps_to_level
from benchmarks.ablation.rows import RowCurves, explanation, make, read
from benchmarks.ablation.suite import Claim, Row, Suite, known_suites, load
from benchmarks.learning.records import Records
from benchmarks.learning.settings import resolve
from rher_pl.compare.statistics import last_five

RESULTS = Path("benchmarks/results/ablation")
Maker = Callable[..., Records]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Suites name files from there."""
    monkeypatch.chdir(Path(__file__).parents[1])


@pytest.fixture
def make_row(make_records: Maker) -> Callable[..., RowCurves]:
    """A row of that name whose seeds have these successes, at 10, 20, ... env steps."""

    def made(name: str, *seeds: list[float], **changes: Any) -> RowCurves:
        row = Row(name, name.upper(), {}, (0, 1), 100)
        return make(row, make_records(name, *seeds, **changes))

    return made


# --- suites ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", known_suites())
def test_rows_of_suites_differ_in_their_options_only_and_are_recorded(name: str) -> None:
    suite = load(name)
    first, *others = [(row, resolve(suite.config, row.overrides)) for row in suite.rows]
    for row, settings in others:
        changed = {
            f"{section}.{key}"
            for section, values in settings.items()
            for key, value in values.items()
            if first[1][section][key] != value
        }
        options = row.options.keys() | first[0].options.keys()
        said = {key for key in options if row.options.get(key) != first[0].options.get(key)}
        assert changed == said, row.name
    assert [data.row.name for data in read(suite, RESULTS)] == [row.name for row in suite.rows]


def test_claims_are_about_rows_and_measures_that_exist() -> None:
    suite = load("push")
    rows = {row.name: row.options for row in suite.rows}
    assert {name for claim in suite.claims for name in (claim.more, claim.less)} <= rows.keys()
    assert {claim.measure for claim in suite.claims} == MEASURES.keys() - {"last_policy"}
    batch = yaml.safe_load(suite.config.read_text())["data"]["batch_size"]
    assert rows["her_td3"]["data.batch_size"] == sum(batch), "as many samples for HER in all"


def test_rows_are_chosen_and_budgets_replaced() -> None:
    chosen = load("push").select(["no_guide"], [7, 8], 5_000)
    assert [(r.name, r.seeds, r.env_steps) for r in chosen.rows] == [("no_guide", (7, 8), 5_000)]
    assert load("push").select(None, None, None) == load("push")


def write_suite(config: Path, rows: dict[str, Any]) -> str:
    content = {"config": str(config), "seeds": [3], "env_steps": 50, "rows": rows}
    path = config.with_name("some.yaml")
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--suite", "pull"], "choose from " + ", ".join(known_suites())),
        (["--rows", "nothing"], "rher_td3"),
        (["--jobs", "0"], "--jobs"),
        (["--plot_only"], "nothing to show"),
        (["--suite", "{labell}"], "labell"),
        (["--suite", "{model.gama}"], "model.gama"),
    ],
)
def test_bad_input_is_one_line(
    small_config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    rows = {"{labell}": {"labell": "x"}, "{model.gama}": {"options": {"model.gama": 1}}}
    arguments = [write_suite(small_config, {"one": rows[a]}) if a in rows else a for a in arguments]
    folders = ["--results", str(tmp_path / "results"), "--scratch", str(tmp_path / "scratch")]
    assert ablation.main([*arguments, *folders]) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_first_seeds_of_all_rows_are_trained_before_any_second_one(
    small_config: Path, tmp_path: Path, make_records: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue: list[tuple[str, int, int, str]] = []

    def note(pairs: list[tuple[Any, int]], jobs: int) -> int:
        queue.extend((t.label, seed, t.epochs, t.records.folder.name) for t, seed in pairs)
        return 0

    monkeypatch.setattr(ablation, "train", note)
    make_records("results/some/one", [0.5])
    rows = {"one": {}, "two": {"env_steps": 110, "options": {"model.mixing": "sequential"}}}
    arguments = ["--suite", write_suite(small_config, rows), "--seeds", "4", "5", "--fresh"]
    arguments += ["--results", str(tmp_path / "results"), "--scratch", str(tmp_path / "runs")]
    assert ablation.main(arguments) == 2, "--fresh forgot what was there: nothing to show"
    assert queue == [
        ("one", 4, 1, "one"),
        ("two", 4, 2, "two"),
        ("one", 5, 1, "one"),
        ("two", 5, 2, "two"),
    ]
    config = yaml.safe_load((tmp_path / "runs" / "some" / "two" / "settings.yaml").read_text())
    assert config["model"]["mixing"] == "sequential"


# --- figures -----------------------------------------------------------------------------------


def test_what_explains_a_row_on_a_worked_example(make_row: Callable[..., RowCurves]) -> None:
    row = make_row("a", [0.4, 0.5, 0.5, 0.5, 0.6, 0.9], [0.2] * 6)
    assert last_five(row.group.success).tolist() == pytest.approx([0.6, 0.2])
    table = explanation([row])
    assert [next(iter(column.cells)) for column in table.columns] == [
        "A",
        "3.000",  # Q -2 minus return -5
        "0.250",
        "0.750",
        "1.000",
    ]


def test_what_was_not_recorded_is_a_dash(make_row: Callable[..., RowCurves]) -> None:
    row = make_row("a", [0.5], success_per_subtask={"push": 0.5}, metrics={})
    assert np.isnan(row.reach).all(), "a chain of one has no first subtask of its own"
    assert [next(iter(column.cells)) for column in explanation([row]).columns] == ["A", *"----"]


def test_the_picture_and_the_tables_have_every_row_with_records(
    small_config: Path, tmp_path: Path, make_records: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        make_records(f"results/some/{name}", [0.1, 0.5], [0.3, 0.2])
    rows = {"one": {"label": "row A"}, "two": {"label": "row B"}, "three": {"label": "row C"}}
    arguments = ["--suite", write_suite(small_config, rows), "--plot_only"]
    assert ablation.main([*arguments, "--results", str(tmp_path / "results")]) == 0
    out = capsys.readouterr().out
    assert out.count("row A") == out.count("row B") == 2 and "row C" not in out
    assert (tmp_path / "results" / "some" / "curve.png").is_file()


# --- claims ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "less", "verdict"),
    [
        (([0.9], [0.8]), ([0.7], [0.1]), "supported"),
        (([0.7], [0.1]), ([0.9], [0.8]), "contradicted"),
        (([0.9], [0.5]), ([0.7], [0.1]), "undecided"),
        (([0.5], [0.5]), ([0.5], [0.5]), "undecided"),
    ],
)
def test_a_claim_needs_every_seed(
    make_row: Callable[..., RowCurves], more: Any, less: Any, verdict: str
) -> None:
    rows = {"a": make_row("a", *more), "b": make_row("b", *less)}
    found = judge(Claim("text", "source", "a", "b", "success"), rows)
    numbers = [f"{n} {v[0][0]:.2f}, {v[1][0]:.2f}" for n, v in (("A", more), ("B", less))]
    unit = "success, last five evaluations"
    assert found == ("text", "source", f"{unit}: {'; '.join(numbers)}", verdict)


def test_a_level_never_reached_counts_as_more_env_steps_than_any(
    make_row: Callable[..., RowCurves],
) -> None:
    quick, never = (
        make_row("q", [0.9] * 6, [0.0] + [0.95] * 5),
        make_row("n", [0.1] * 6, [0.2] * 6),
    )
    assert steps_to_level(quick).tolist() == [50, 60]
    claim = Claim("", "", "n", "q", "steps")
    _, _, measured, verdict = judge(claim, {"q": quick, "n": never})
    assert verdict == "supported"
    assert measured == "env steps to 90%: N never, never; Q 50.00, 60.00"


def test_a_fall_is_the_best_trailing_mean_minus_the_last(
    make_row: Callable[..., RowCurves],
) -> None:
    falling, short = make_row("f", [0.8] * 5 + [0.3] * 5), make_row("s", [0.8] * 4)
    assert fall(falling) == pytest.approx([0.5])
    claim = Claim("", "", "f", "s", "fall")
    assert judge(claim, {"f": falling, "s": short})[-1] == "not recorded"
    assert judged([claim], [falling]) == [], "a claim waits for both rows"
    assert len(judged([claim], [falling, short])) == 1


def test_suites_without_records_show_nothing(tmp_path: Path) -> None:
    assert read(Suite("some", Path(), (Row("a", "A", {}, (0,), 10),)), tmp_path) == []
