"""docs/python_api.md and docs/robot.md: their programs run, on a budget of seconds."""

from __future__ import annotations

import importlib
import math
import re
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

import rher_pl

PAGE = Path(__file__).parents[1] / "docs" / "python_api.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMALLER = [
    ('train("push"', 'train("small.yaml"'),
    ("episodes=100", "episodes=2"),
    ("eval_every_env_steps=1_500", "eval_every_env_steps=100, eval_episodes=4"),
    ("gamma=0.9)", "gamma=0.9, hidden_size=16)"),
]


def programs() -> list[str]:
    """The page's programs, each on a small budget."""
    found = BLOCK.findall(PAGE.read_text())
    for before, after in SMALLER:
        assert any(before in program for program in found), before
        found = [program.replace(before, after) for program in found]
    return [re.sub(r"max_epochs=\d", "max_epochs=1", program) for program in found]


def test_every_program_of_the_page_runs(
    small_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_config.parent)
    with small_config.open("a") as config:
        config.write("video: {every_evaluations: 0}\nuntil: {episodes: 4}\n")
    page = types.ModuleType("page")  # where a class can be found again by its import path
    monkeypatch.setitem(sys.modules, "page", page)
    for program in programs():
        exec(compile(program, str(PAGE), "exec"), page.__dict__)
    names: dict[str, Any] = page.__dict__
    (described,) = re.findall(r"^```yaml\n(model:.*?)^```", PAGE.read_text(), re.M | re.S)
    config = yaml.safe_load(small_config.read_text())
    config["model"] |= yaml.safe_load(described.replace("my_learner", "page"))["model"]
    small_config.with_name("own.yaml").write_text(yaml.safe_dump(config))
    again = rher_pl.train("own.yaml", max_epochs=1)
    assert isinstance(again.module.td3, names["HuberTD3"])
    assert names["run"].module.hparams["learner"] == "page.HuberTD3"
    assert 0 <= names["found"].success <= 1
    assert names["module"].env_steps > 0


def test_the_first_program_of_the_readme_runs(
    small_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_config.parent)
    program, *_ = BLOCK.findall((PAGE.parents[1] / "README.md").read_text())
    smaller = {'"push", max_epochs=10': '"small.yaml", max_epochs=1', "episodes=100": "episodes=2"}
    for before, after in smaller.items():
        assert program.count(before) == 1
        program = program.replace(before, after)
    names: dict[str, Any] = {}
    exec(program, names)
    assert names["run"].module.td3.gamma == 0.98


def test_the_page_lists_the_stable_names() -> None:
    listed = re.findall(r"`(\w+)`", PAGE.read_text().partition("stable public names:")[2][:400])
    assert sorted(listed[: len(rher_pl.__all__)]) == sorted(rher_pl.__all__)


def test_the_names_for_tasks_of_ones_own_exist() -> None:
    told = PAGE.read_text().partition("For tasks of your own")[2].partition("## Options")[0]
    modules = re.findall(r"`(rher_pl[.\w]+)\.(\w+)`(?: and `(\w+)`)?", told)
    assert len(modules) == 4
    for module, *names in modules:
        assert all(hasattr(importlib.import_module(module), name) for name in names if name)


def test_the_programs_for_a_robot_run() -> None:
    """docs/robot.md: the loop keeps its rate, and solves the task in Gymnasium."""
    page = (PAGE.parent / "robot.md").read_text()
    names: dict[str, Any] = {"rher_pl": rher_pl}
    given, loop = BLOCK.findall(page)
    exec(given, names)
    begun = time.monotonic()
    exec(loop, names)
    assert time.monotonic() - begun > 49 * names["period"]
    found = names["observation"]
    assert math.dist(found["achieved_goal"], found["desired_goal"]) < 0.05
