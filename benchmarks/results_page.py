"""Writes docs/results.md from the recorded files, so that text and data cannot drift apart."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from benchmarks import ablation_summary, claims, summary
from benchmarks.records import Record, Records
from benchmarks.suite import Suite, known_suites, load
from rher_pl.compare import published

RESULTS = Path("benchmarks/results")
PAGE = Path("docs/results.md")
SHOWN_VERSIONS = ("python", "torch", "torchrl", "mujoco", "gymnasium-robotics")

HEAD = """\
# Results

Written by `python -m benchmarks.results_page` from the files in `benchmarks/results`; do not edit.
Every evaluation of every seed is a line there. Success is that of the noise-free policy at the last
step of an episode, on the same evaluation seeds for all; episodes whose object starts at its goal
count, as in the published figures. One process and one thread for each seed. Seconds are wall-clock
on a shared machine. A command continues or repeats what it stands under, with the settings that are
kept beside the records; they are complete for the commit that is named there.
"""


def page(results: Path = RESULTS) -> str:
    """The whole page.

    Args:
        results: folder with ``learning`` and ``ablation``.
    """
    sections = [HEAD]
    for path in sorted((results / "learning").glob("*.jsonl")):
        sections += learning(Records(path))
    for name in known_suites():
        sections += ablation(load(name), results / "ablation")
    return "\n".join(sections)


def learning(records: Records) -> list[str]:
    """Figure, table and command of one learning benchmark."""
    recorded = records.read()
    data = summary.curves(recorded)
    if data is None:
        return []
    command = ["python", "-m", "benchmarks.learning", "--config"]
    command += [records.path.with_suffix(".yaml").as_posix(), "--name", records.path.stem]
    command += ["--seeds", *map(str, data.seeds), "--env_steps", str(data.env_steps[-1])]
    notes = f"{summary.LEGEND} {protocol(records)}"
    if published.published(data.task):
        notes += f" {published.PROTOCOL}"
    return [
        f"## {data.task}: {records.path.stem}\n",
        picture(records.path, f"Learning curve of {data.task}"),
        markdown(summary.table(records.path.stem, data)),
        f"{notes}\n",
        code(command),
        f"{made_with(recorded)}\n",
    ]


def ablation(suite: Suite, results: Path) -> list[str]:
    """Figure, table, claims, options and command of one suite."""
    rows = ablation_summary.read(suite, results)
    if not rows:
        return []
    recorded = [r for data in rows for r in data.records.read()]
    verdicts = Table("claim", "by", "measured, one number for each seed", "verdict")
    for line in claims.judged(rows):
        verdicts.add_row(*line)
    options = Table("row", "differs in", "records")
    for data in rows:
        differs = ", ".join(f"`{k}: {value}`" for k, value in data.row.options.items())
        options.add_row(data.row.label, differs or f"`{suite.config}`", f"`{data.records.path}`")
    text = [
        f"## {rows[0].curves.task}: variants, {suite.name}\n",
        picture(results / suite.name, f"Variants on {rows[0].curves.task}"),
        markdown(ablation_summary.table(suite.name, rows)),
        f"{ablation_summary.LEGEND} Bands in the figure are 95% bootstrap intervals of the mean.\n",
        markdown(options),
    ]
    if verdicts.row_count:
        rule = (claims.__doc__ or "").partition("\n\n")[2]
        text += ["### Claims of others, held against these runs\n", markdown(verdicts), rule]
    command = ["python", "-m", "benchmarks.ablation", "--suite", suite.name]
    return [*text, code(command), f"{made_with(recorded)}\n"]


def protocol(records: Records) -> str:
    """How a benchmark evaluates, from its settings."""
    settings: dict[str, Any] = yaml.safe_load(records.path.with_suffix(".yaml").read_text())
    data = settings["data"]
    return f"{data['eval_episodes']} episodes every {data['eval_every_env_steps']:,} env steps."


def picture(stem: Path, words: str) -> str:
    return f"![{words}](../{stem.with_suffix('.png').as_posix()})\n"


def code(command: Sequence[str]) -> str:
    return f"```sh\n.venv/bin/{shlex.join(command)}\n```\n"


def made_with(records: Iterable[Record]) -> str:
    """Versions and commits of all that was recorded."""
    found: dict[str, dict[str, None]] = {}  # a dictionary keeps the order, a set does not
    for record in records:
        for name in SHOWN_VERSIONS:
            found.setdefault(name, {})[record["versions"].get(name, "unknown")] = None
        found.setdefault("commit", {})[record["commit"]] = None
    return "; ".join(f"{name} {', '.join(values)}" for name, values in found.items()) + "."


def markdown(table: Table) -> str:
    """A table of plain text cells, in GitHub's notation."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    marks = ["---:" if column.justify == "right" else "---" for column in table.columns]
    head, *body = ([cell.strip().replace("|", "\\|") for cell in line] for line in zip(*columns))
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, marks, *body))


def main(arguments: list[str] | None = None) -> None:
    """The command line; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    options = parser.parse_args(arguments)
    text = page()
    if options.check:
        current = PAGE.is_file() and PAGE.read_text() == text
        print(f"{PAGE} is {'up to date' if current else 'out of date'}")
        sys.exit(0 if current else 1)
    PAGE.write_text(text)
    print(PAGE)


if __name__ == "__main__":
    main()
