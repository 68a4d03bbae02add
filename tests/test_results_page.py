"""The results page says what the records say; claims are judged by the rule that it states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.table import Table
from test_ablation import measured
from test_benchmarks import record

from benchmarks.ablation_summary import RowCurves
from benchmarks.claims import CLAIMS, Claim, fall, judged, steps_to_level
from benchmarks.records import Records
from benchmarks.results_page import PAGE, code, made_with, markdown, page
from benchmarks.suite import Row, load
from benchmarks.summary import curves


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])


def row(name: str, *seeds: list[float], **metrics: float) -> RowCurves:
    """A row whose seeds have these successes, at 10, 20, ... env steps."""
    records = [
        measured(seed, 10 * (i + 1), value, **metrics)
        for seed, values in enumerate(seeds)
        for i, value in enumerate(values)
    ]
    data = curves(records)
    assert data is not None
    return RowCurves(Row(name, name.upper(), {}, (0, 1), 100, None), 0, data, Records(Path()))


def test_the_page_is_what_the_records_give():
    assert PAGE.read_text() == page(), "write it anew: python -m benchmarks.results_page"


def test_the_page_follows_a_change_of_the_records(tmp_path):
    folder = tmp_path / "learning"
    records = Records(folder / "made.jsonl")
    records.append(record(0, 10, 0.25))
    records.path.with_suffix(".yaml").write_text(
        "data: {eval_episodes: 7, eval_every_env_steps: 10}"
    )
    before = page(tmp_path)
    assert "| last 5 evaluations | 0.250 |" in before
    assert "7 episodes every 10 env steps" in before and "--seeds 0 --env_steps 10" in before
    records.append(record(0, 20, 0.75))
    assert "| last 5 evaluations | 0.500 |" in page(tmp_path)


def test_tables_are_written_in_markdown():
    table = Table("name", title="left out")
    table.add_column("share", justify="right")
    table.add_row("  a | b", "1")
    assert markdown(table) == "| name | share |\n| --- | ---: |\n| a \\| b | 1 |\n"
    assert code(["python", "it's"]) == "```sh\n.venv/bin/python 'it'\"'\"'s'\n```\n"


def test_versions_name_every_commit_once():
    made = [record(0, 1), record(0, 2), record(0, 3, commit="def")]
    assert made_with(made).endswith("commit abc, def.")


@pytest.mark.parametrize(
    ("more", "less", "verdict"),
    [
        (([0.9], [0.8]), ([0.7], [0.1]), "supported"),
        (([0.7], [0.1]), ([0.9], [0.8]), "contradicted"),
        (([0.9], [0.5]), ([0.7], [0.1]), "undecided"),
        (([0.5], [0.5]), ([0.5], [0.5]), "undecided"),
    ],
)
def test_a_claim_needs_every_seed(more, less, verdict):
    claim = Claim("", "", "a", "b", "end", lambda data: data.success[:, -1])
    rows = {"a": row("a", *more), "b": row("b", *less)}
    assert claim.verdict(rows) == verdict
    assert claim.measured(rows) == "end: " + "; ".join(
        f"{name} {seeds[0][0]:.2f}, {seeds[1][0]:.2f}" for name, seeds in (("A", more), ("B", less))
    )


def test_a_level_never_reached_counts_as_more_env_steps_than_any():
    quick, never = row("q", [0.9] * 6, [0.0] + [0.95] * 5), row("n", [0.1] * 6, [0.2] * 6)
    assert steps_to_level(quick).tolist() == [50, 60]
    assert np.isinf(steps_to_level(never)).all()
    claim = Claim("", "", "n", "q", "env steps", steps_to_level)
    rows = {"q": quick, "n": never}
    assert claim.verdict(rows) == "supported"
    assert claim.measured(rows) == "env steps: N never, never; Q 50.00, 60.00"


def test_a_fall_is_the_best_trailing_mean_minus_the_last():
    falling, short = row("f", [0.8] * 5 + [0.3] * 5), row("s", [0.8] * 4)
    assert fall(falling) == pytest.approx([0.5])
    assert np.isnan(fall(short)).all()
    claim = Claim("", "", "f", "s", "fall", fall)
    assert claim.verdict({"f": falling, "s": short}) == "not recorded"


def test_claims_name_rows_of_the_suite_and_wait_for_both():
    names = {each.name for each in load("push").rows}
    assert {name for claim in CLAIMS for name in (claim.more, claim.less)} <= names
    assert judged([row("rher_td3", [0.5])]) == []
    both = judged([row("rher_td3", [0.5] * 5), row("rher_ddpg", [0.5] * 5)])
    assert len(both) == 2
