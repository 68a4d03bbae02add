"""The whole-job benchmark: when a job is done, what is recorded of one, and how it is shown."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.whole_job import __main__ as whole_job
from benchmarks.whole_job.judging import Judge, Rule
from benchmarks.whole_job.table import floor_seconds, make_table
from rher_pl.errors import ConfigError

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
