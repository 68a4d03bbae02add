"""The results page says what the records say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table

from benchmarks.learning.records import Records
from tools.results_page import PAGE, body, code, made_with, markdown, page


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])


def test_the_page_is_what_the_records_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tools.results_page"
    assert body(["--check"]) == 0


def test_pictures_and_records_that_it_names_exist() -> None:
    for line in page().splitlines():
        if line.startswith("!["):
            assert (PAGE.parent / line.rpartition("(")[2].rstrip(")")).is_file(), line


def test_the_page_follows_a_change_of_the_records(
    tmp_path: Path, make_records: Callable[..., Records], make_record: Callable[..., Any]
) -> None:
    records = make_records("learning/FetchPush-v4/push+data.num_envs=8", [0.25])
    before = page(tmp_path)
    assert "| push | 1 | 10 | 0.250 |" in before and "RHER paper" in before
    assert "7 episodes every 10 env steps" in before
    command = "--config configs/push.yaml --seeds 0 --env_steps 10 --data.num_envs=8"
    assert command in before
    records.update(0, [make_record(0, 10, 0.25), make_record(0, 20, 0.75)], records.settings)
    assert "| push | 1 | 20 | 0.500 |" in page(tmp_path)


def test_tables_are_written_in_markdown() -> None:
    table = Table("name", title="left out")
    table.add_column("share", justify="right")
    table.add_row("  a | b", "1\n2")
    assert markdown(table) == "| name | share |\n| --- | ---: |\n| a \\| b | 1<br>2 |\n"
    assert code(["python", "it's"]) == "```sh\n.venv/bin/python 'it'\"'\"'s'\n```\n"


def test_commits_and_versions_are_named_once(make_record: Callable[..., Any]) -> None:
    made = [make_record(0, 1), make_record(0, 2), make_record(0, 3, commit="def")]
    del made[1]["versions"]
    found = made_with([*made, make_record(0, 4, versions={"torch": "1"})])
    assert "torch 0, 1" in found and found.endswith("commit abc, def.")
