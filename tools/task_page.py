"""The page of a task on the site, written from the code, the configs and the records."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import yaml
from gymnasium.envs.registration import load_env_creator

from benchmarks.learning.records import Records
from rher_pl.compare.curves import read_records
from rher_pl.compare.groups import make_groups
from rher_pl.compare.statistics import Centre
from rher_pl.deploy.pretrained import card_file, known_policies
from rher_pl.envs.suite.registration import NAMESPACE
from rher_pl.tasks import Task, make_env
from tools.task_names import page_name

ROOT = Path(__file__).parents[1]
TASKS = ROOT / "docs" / "tasks.md"
MEDIA = ROOT / "docs" / "images" / "tasks"
LEARNING = ROOT / "benchmarks" / "results" / "learning"
UP = "../.."
"""Path from a page, in docs/tasks, to the top."""
ROW = re.compile(r"^\| `([\w/-]+)` \|(.*)\|$", re.MULTILINE)
BULLET = re.compile(r"^- \*\*(\w+)\*\*: (.*(?:\n  .*)*)", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """What the table of ``docs/tasks.md`` says of a task, beside what the code knows."""

    does: str
    fingers: str
    goals: str
    epsilon: str
    steps: str
    solved: str


@cache
def rows() -> dict[str, Row]:
    """Of every task of the table, by its name without Gymnasium's namespace."""
    found = ROW.findall(TASKS.read_text())
    return {
        name.removeprefix(f"{NAMESPACE}/"): Row(*(cell.strip() for cell in cells.split(" | ")))
        for name, cells in found
        if cells.count(" | ") == 5
    }


def page(task: Task) -> str:
    """The whole page, in Markdown."""
    does = rows()[task.name].does
    parts = [
        f"# {task.name}\n",
        f"{does[0].upper()}{does[1:]}.\n",
        shown(task),
        description(task),
        sizes(task),
        "What all tasks share, and how to give a scene: [The tasks](../tasks.md).\n",
        training(task),
        *results(task),
        *policies(task),
    ]
    return "\n".join(parts)


def shown(task: Task) -> str:
    """The video, or the picture of a start where there is none."""
    name = page_name(task.name)
    picture = f"![{task.name} at the start of an episode]({UP}/docs/images/tasks/{name}.webp)\n"
    if not (MEDIA / f"{name}.mp4").is_file():
        return picture
    return (
        f'<video controls loop muted playsinline preload="metadata" '
        f'src="{UP}/_static/{name}.mp4"></video>\n\n'
        "Episodes that a trained policy solves, on seeds that were not used to train it; how often "
        "it does so is said below.\n"
    )


def description(task: Task) -> str:
    """What is random in it, and its peculiarities."""
    spec = gymnasium.registry.get(task.gymnasium_id or "")
    if spec is not None and spec.namespace == NAMESPACE:
        assert isinstance(spec.entry_point, str)
        _, _, text = (inspect.getdoc(load_env_creator(spec.entry_point)) or "").partition("\n\n")
        return f"```{{eval-rst}}\n{text}\n```\n"
    told = dict(BULLET.findall(TASKS.read_text()))
    text = told[task.name.partition("-")[0].removeprefix("Fetch")].replace("\n  ", "\n")
    return f"{text[0].upper()}{text[1:]}\n"


def sizes(task: Task) -> str:
    """Numbers of the task, most of them from the code."""
    relay, row = task.relay, rows()[task.name]
    facts = {
        "Gymnasium id": f"`{task.gymnasium_id}`" if task.gymnasium_id else "none",
        "subtasks": ", ".join(relay.names),
        "observation": f"{len(task.layout)} numbers",
        "achieved and desired goal": f"{3 * relay.num_desired} numbers each",
        "action": f"{task.action_size} numbers in [-1, 1]",
        "fingers": row.fingers,
        "goals": row.goals,
        "ε, a goal is met within": f"{relay.epsilon:g}",
        "env steps of an episode": str(steps(task)),
        "solved at the start": row.solved,
    }
    lines = "".join(f"| {name} | {value} |\n" for name, value in facts.items())
    return f"| | |\n|---|---|\n{lines}"


def steps(task: Task) -> int:
    """Length of an episode."""
    if task.gymnasium_id is None:
        return int(make_env(task, 1, 0).max_episode_steps)
    from rher_pl.envs import fetch_sim  # noqa: F401 registers gymnasium-robotics' own

    found = gymnasium.spec(task.gymnasium_id).max_episode_steps
    assert found is not None
    return found


def configs(task: Task) -> Iterator[Path]:
    """The shipped configs that train it, in a batched environment or as Gymnasium has it."""
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        choice: Any = yaml.safe_load(path.read_text())["data"]["task"]
        name = choice if isinstance(choice, str) else choice["init_args"]["id"]
        if name in (task.name, task.gymnasium_id):
            yield path


def training(task: Task) -> str:
    """Each config that trains it, with its command."""
    parts = ["## Train\n"]
    for path in configs(task):
        command = f"python -m rher_pl.fit --config configs/{path.name}"
        parts.append(f"```sh\n{command}\n```\n\n```yaml\n{path.read_text()}```\n")
    if len(parts) == 1:
        command = f"python -m rher_pl.fit --config configs/push.yaml --data.task {task.name}"
        parts.append(
            f"It has no config of its own; begin with that of FetchPush:\n\n```sh\n{command}\n```\n"
        )
    parts.append("Every option is in [Configuration](../configuration.md).\n")
    return "\n".join(parts)


def results(task: Task) -> Iterator[str]:
    """What was recorded of it: a line and the curve of each config."""
    paths = sorted((LEARNING / task.name).glob("*/records.jsonl"))
    yield "## Results\n" if paths else "## Results\n\nNo benchmark of it is recorded yet.\n"
    for path in paths:
        name, folder = path.parent.name, path.parent.relative_to(ROOT)
        (group,) = make_groups(read_records(path, "success"), Centre.mean)
        episodes = Records(path.parent).settings["data"]["eval_episodes"]
        anchor = re.sub(r"[^\w-]", "", f"{task.name}: {name}".lower().replace(" ", "-"))
        yield (
            f"`{name}`: {len(group.seeds)} seeds, {group.env_steps[-1]:,} env steps, success "
            f"**{group.last_five:.3f}** in the last five evaluations of {episodes} episodes, "
            f"{group.worst.last_five:.3f} for the worst seed "
            f"([all figures](../results.md#{anchor})).\n"
        )
        yield f"![Learning curve of {task.name}, {name}]({UP}/{folder.as_posix()}/curve.png)\n"


def policies(task: Task) -> Iterator[str]:
    """Cards of the trained policies in the package."""
    for name in known_policies():
        title, _, card = card_file(name).read_text().partition("\n")
        if title == f"# Policy for {task.name}":
            yield f"## The policy `{name}`\n"
            yield f"It is in the package: `python -m rher_pl.evaluate --pretrained {name}`.\n"
            yield card.strip() + "\n"
