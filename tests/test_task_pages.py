"""Pages of the tasks on the site: one for each, and what they say is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import rher_pl
from rher_pl.deploy.pretrained import card_file, known_policies
from rher_pl.envs.suite.registration import SUITE
from rher_pl.tasks import get_task
from tools import site, task_page
from tools.task_names import page_name

ROOT = Path(__file__).parents[1]
TASKS = list(task_page.rows())


def test_every_task_has_a_page_of_its_own() -> None:
    assert {*SUITE, "FetchReach-v4", "FetchSlide-v4", "PointPush-v0"} <= set(TASKS)
    assert len(TASKS) == 13 == len({page_name(name) for name in TASKS})


@pytest.mark.parametrize("name", TASKS)
def test_the_table_of_tasks_says_what_the_code_does(name: str) -> None:
    task, row = get_task(name), task_page.rows()[name]
    assert (float(row.epsilon), int(row.steps)) == (task.relay.epsilon, task_page.steps(task))


@pytest.mark.parametrize("name", TASKS)
def test_a_page_shows_its_task(name: str) -> None:
    text = task_page.page(get_task(name))
    still, video = (task_page.MEDIA / f"{page_name(name)}{end}" for end in (".webp", ".mp4"))
    assert still.is_file()
    assert ("<video" in text) == video.is_file() != (f"{page_name(name)}.webp" in text)
    assert name == "FetchSlide-v4" or video.stat().st_size < 300_000  # Slide is not solved here
    own = ROOT / "configs" / f"{page_name(name)}.yaml"
    command = f"python -m rher_pl.fit --config configs/{own.name}\n"
    assert (command in text) == own.is_file()
    assert (command in text) != ("It has no config of its own" in text)


def test_a_page_holds_what_was_recorded_and_the_policy() -> None:
    text = task_page.page(get_task("FetchPush-v4"))
    assert re.search(r"`push`: \d+ seeds, [\d,]+ env steps, success \*\*0\.9\d\d\*\*", text)
    results = (ROOT / "docs" / "results.md").read_text()
    assert "results.md#fetchpush-v4-push)" in text and "\n## FetchPush-v4: push\n" in results
    assert "No benchmark of it is recorded" in task_page.page(get_task("PointPush-v0"))
    told = [p for name in TASKS for p in task_page.policies(get_task(name)) if p[:3] == "## "]
    assert sorted(told) == sorted(f"## The policy `{name}`\n" for name in known_policies())
    assert card_file("push").read_text().partition("\n")[2].strip() in text


def test_every_page_of_the_guide_and_every_public_name_is_listed() -> None:
    listed = site.contents()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert {name for name in pages if f"docs/{name}\n" in listed} == pages
    assert all(f":: rher_pl.{name}\n" in site.api() for name in rher_pl.__all__)


def test_the_table_of_tasks_links_to_their_pages() -> None:
    text = site.linked("| `rher_pl/FetchStack-v0` | put |\n", ["FetchStack-v0"])
    assert text.startswith("| [`rher_pl/FetchStack-v0`](tasks/stack.md) | put |\n")
