"""The whole-job benchmark: when a job is done, what is recorded of one, and how it is shown."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.whole_job import __main__ as whole_job
from benchmarks.whole_job.judging import Judge, Rule
from benchmarks.whole_job.table import floor_seconds, make_table
from rher_pl.errors import ConfigError, TrainingError

RULE = Rule(level=0.95, evaluations=3, episodes=15, fresh=100)


def test_a_job_is_done_when_three_evaluations_and_fresh_episodes_say_so() -> None:
    played: list[tuple[int, int]] = []
    answers = iter([1.0, 1.0, 0.8, 1.0, 1.0, 1.0, 0.9, 1.0, 0.95])

    def play(episodes: int, first: int) -> float:
        played.append((episodes, first))
        return next(answers)

    judge = Judge(RULE, play)
    found = [judge.evaluate() for _ in range(7)]
    assert [done for _, done in found] == [False] * 6 + [True]
    assert [success for success, _ in found] == [1.0, 1.0, 0.8, 1.0, 1.0, 1.0, 1.0]
    evaluations = [(15, 1_000_000)] * 6
    # The mean of three is 0.95 at the sixth; 100 fresh episodes refute it, others then confirm it.
    assert played == [*evaluations, (100, 2_000_000), (15, 1_000_000), (100, 2_000_100)]


def test_the_command_is_timed_as_a_user_starts_it(small_config: Path) -> None:
    job = whole_job.run_job("ours", small_config, RULE, seed=1, limit=100.0)
    assert job["seed"] == 1 and not job["done"]
    steps = [line["env_steps"] for line in job["curve"]]
    assert steps == sorted(set(steps)) and len(steps) >= 2
    seconds = [line["seconds"] for line in job["curve"]]
    assert 1.0 < seconds[0] < seconds[-1] < job["seconds"] < 100.0


def test_ours_has_the_same_limit_as_the_others(small_config: Path) -> None:
    job = whole_job.run_job("ours", small_config, RULE, seed=1, limit=0.01)
    assert not job["done"] and len(job["curve"]) == 1


def test_a_job_that_fails_is_one_line(small_config: Path) -> None:
    small_config.write_text(small_config.read_text() + "nonsense: 1\n")
    with pytest.raises(TrainingError, match=r"ours, seed 1: .*exit status 2"):
        whole_job.run_job("ours", small_config, RULE, seed=1, limit=10.0)


def test_where_ours_is_not_done_the_ratio_is_a_bound() -> None:
    results = _results()
    results["ours"]["jobs"][0]["done"] = False
    results["sac"] = {"jobs": [{**results["ours"]["jobs"][0], "done": True}]}
    console = Console(width=160, file=StringIO())
    console.print(make_table(results))
    rows = console.file.getvalue()  # type: ignore[attr-defined]
    assert "? 100.0" in rows and "< 1.0" in rows


def test_contestants_under_another_rule_are_not_recorded_beside(tmp_path: Path) -> None:
    path = tmp_path / "push.json"
    path.write_text(json.dumps({"sac": {"rule": asdict(RULE)}, "floor": {}}))
    whole_job.require_same_rule(path, RULE)
    with pytest.raises(ConfigError, match="sac under another rule"):
        whole_job.require_same_rule(path, replace(RULE, level=0.9))


def test_the_rivals_precision_is_their_own() -> None:
    found = whole_job.provenance_of("sac", Path("configs/push.yaml"))
    assert found["precision"] == "32-true"


def test_the_table_says_what_was_not_done() -> None:
    results = _results()
    assert floor_seconds(results) == pytest.approx(10.0 + 5.0)
    console = Console(width=160, file=StringIO())
    console.print(make_table(results))
    rows = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0 of 1" in rows and "> 100.0" in rows and "0.50" in rows
    assert " 30.0 " in rows and " 34.5 " in rows, "when it was confirmed, and when it ended"


def test_all_are_judged_as_the_config_says() -> None:
    assert Rule.of(Path("configs/push.yaml")) == RULE
    assert Rule.of(Path("configs/three_stack.yaml")) == Rule(0.9, 3, 25, 100)
    with pytest.raises(ConfigError, match=r"drawer\.yaml does not end .* until\.success"):
        whole_job.body(["--config", "configs/drawer.yaml"])


def _results() -> dict[str, Any]:
    end = {"env_steps": 20_000, "updates": 10_000, "seconds": 30.0, "success": 0.96, "done": True}
    unsolved = end | {"seconds": 3_000.0, "success": 0.5, "done": False}
    return {
        "ours": {"jobs": [{"seconds": 34.5, "done": True, "curve": [end]}]},
        "td3": {"jobs": [{"seconds": 3_000.5, "done": False, "curve": [unsolved]}]},
        "floor": {"env_steps": 2_000.0, "updates": 2_000.0},
    }


def test_a_limit_is_positive() -> None:
    with pytest.raises(ConfigError, match="--limit"):
        whole_job.body(["--limit", "0"])
