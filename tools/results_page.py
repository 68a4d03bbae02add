"""Writes docs/results.md from the recorded files, so that text and data cannot drift apart."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.table import Table

from benchmarks.ablation import claims, rows
from benchmarks.ablation.suite import Suite, known_suites, load
from benchmarks.learning.records import Record, Records
from rher_pl.cli.command import Parser, run_command
from rher_pl.compare import table
from rher_pl.compare.curves import read_records
from rher_pl.compare.groups import Cost, Group, make_groups
from rher_pl.compare.published import PROTOCOL, published
from rher_pl.compare.statistics import Centre

RESULTS = Path("benchmarks/results")
PAGE = Path("docs/results.md")
LEGEND = table.LEGEND.format(centre=Centre.mean.value)
ENDS = (0.90, 0.95)
"""Levels of success of the overview."""
SHOWN_VERSIONS = ("python", "torch", "torchrl", "mujoco", "gymnasium-robotics")

HEAD = f"""\
# Results

Written by `python -m tools.results_page` from the files in `benchmarks/results`; do not edit.

## How to read the tables

Every evaluation of every seed is a line of a `records.jsonl` in `benchmarks/results`, with its
settings beside it. Success is that of the noise-free policy at the last step of an episode, on the
same evaluation seeds for all; episodes whose object starts at its goal count, as in the published
figures. Each seed was trained by one process with one thread. Seconds are wall-clock on a shared
machine. The command below a table makes such results with this version; the recorded ones are of
the commit that is named there. Records of earlier defaults and engines are in
`benchmarks/results/archive`.

{LEGEND}

{PROTOCOL}

In tables of variants: {rows.LEGEND}
"""
OVERVIEW = """\
## Overview

Success in the last five evaluations, and the env steps after which the mean over seeds reaches a
level (in brackets: its trailing mean of five).
"""


def page(results: Path = RESULTS) -> str:
    """The whole page.

    Args:
        results: folder with ``learning`` and ``ablation``.
    """
    found = sorted((results / "learning").glob("*/*/records.jsonl"))
    recorded = [Records(path.parent) for path in found]
    sections = [HEAD, OVERVIEW, markdown(overview(recorded))]
    for records in recorded:
        sections += learning(records)
    for name in known_suites():
        sections += ablation(load(name), results / "ablation")
    return "\n".join(sections)


def overview(recorded: Sequence[Records]) -> Table:
    """A row for each learning benchmark."""
    result = Table("task", "config")
    for heading in (
        "seeds",
        "env steps",
        "last five",
        "worst seed",
        *map("{:.0%} at".format, ENDS),
    ):
        result.add_column(heading, justify="right")
    for records in recorded:
        group = group_of(records)
        costs = [short_cost(group.cost(level)) for level in ENDS]
        figures = (f"{group.env_steps[-1]:,}", f"{group.last_five:.3f}")
        worst = f"{group.worst.last_five:.3f}"
        seeds = str(len(group.seeds))
        result.add_row(group.task, records.folder.name, seeds, *figures, worst, *costs)
    return result


def group_of(records: Records) -> Group:
    (group,) = make_groups(read_records(records.path, "success"), Centre.mean)
    return group


def short_cost(cost: Cost | None) -> str:
    """Env steps, the trailing ones in brackets."""
    if cost is None:
        return "-"
    return f"{cost.env_steps:,} ({'-' if cost.trailing is None else f'{cost.trailing:,}'})"


def learning(records: Records) -> list[str]:
    """Figure, table and command of one learning benchmark."""
    group = group_of(records)
    peers, data = published(group.task), records.settings["data"]
    notes = f"{data['eval_episodes']} episodes every {data['eval_every_env_steps']:,} env steps."
    budget = len(group.env_steps) * data["eval_every_env_steps"]  # as the options count it
    config, *options = records.folder.name.split("+")
    command = ["python", "-m", "benchmarks.learning", "--config", f"configs/{config}.yaml"]
    command += ["--seeds", *map(str, group.seeds), "--env_steps", str(budget)]
    return [
        f"## {group.task}: {records.folder.name}\n",
        picture(records.folder, f"Learning curve of {group.task}"),
        markdown(table.table(group.task, [group], peers)),
        f"{notes}\n",
        code(command + [f"--{option}" for option in options]),
        f"{made_with(records.read())}\n",
    ]


def ablation(suite: Suite, results: Path) -> list[str]:
    """Figure, tables, claims, options and command of one suite."""
    found = rows.read(suite, results)
    if not found:
        return []
    task, groups = found[0].group.task, [data.group for data in found]
    options = Table("row", "differs in", "records")
    for data in found:
        differs = ", ".join(f"`{k}: {value}`" for k, value in data.row.options.items())
        options.add_row(data.row.label, differs or f"`{suite.config}`", f"`{data.row.name}`")
    text = [
        f"## {task}: variants, {suite.name}\n",
        picture(results / suite.name, f"Variants on {task}"),
        markdown(table.table(task, groups, ())),
        markdown(rows.explanation(found)),
        markdown(options),
    ]
    if judged := claims.judged(suite.claims, found):
        verdicts = Table("claim", "by", "measured, one number for each seed", "verdict")
        for line in judged:
            verdicts.add_row(*line)
        rule = (claims.__doc__ or "").partition("\n\n")[2]
        text += ["### Claims held against these runs\n", markdown(verdicts), rule]
    command = ["python", "-m", "benchmarks.ablation", "--suite", suite.name]
    return [*text, code(command), f"{made_with(r for data in found for r in data.records)}\n"]


def picture(folder: Path, words: str) -> str:
    return f"![{words}](../{(folder / 'curve.png').as_posix()})\n"


def code(command: Sequence[str]) -> str:
    return f"```sh\n.venv/bin/{shlex.join(command)}\n```\n"


def made_with(records: Iterable[Record]) -> str:
    """Versions and commits of all that was recorded, each once."""
    found: dict[str, dict[str, None]] = {}  # a dictionary keeps the order, a set does not
    for record in records:
        for name in SHOWN_VERSIONS if "versions" in record else ():
            found.setdefault(name, {})[record["versions"].get(name, "unknown")] = None
        found.setdefault("commit", {})[record["commit"]] = None
    found["commit"] = found.pop("commit")
    return "; ".join(f"{name} {', '.join(values)}" for name, values in found.items()) + "."


def markdown(shown: Table) -> str:
    """A table of plain text cells, in GitHub's notation."""
    columns = [[str(column.header), *map(str, column.cells)] for column in shown.columns]
    marks = ["---:" if column.justify == "right" else "---" for column in shown.columns]
    lines = zip(*([cell.strip().replace("|", "\\|") for cell in column] for column in columns))
    head, *body = ([cell.replace("\n", "<br>") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, marks, *body))


def body(arguments: Sequence[str]) -> int:
    """Write the page, or say whether it is up to date; exit status."""
    parser = Parser("tools.results_page", __doc__ or "")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    text = page()
    if parser.parse_args(arguments).check:
        current = PAGE.is_file() and PAGE.read_text() == text
        print(f"{PAGE} is {'up to date' if current else 'out of date'}")
        return 0 if current else 1
    PAGE.write_text(text)
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(body, None))
