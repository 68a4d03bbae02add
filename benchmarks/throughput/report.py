"""The table and the file of a throughput benchmark."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.throughput.measure import Results
from rher_pl.tracking.provenance import commit_label, hardware, versions

INSTRUCTIONS = (
    "RHER_NATIVE_FLAGS",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
)
"""Environment variables that limit the instructions of the CPU which are used."""
LEGEND = "Spread: the quartiles of rounds taken in turns; for whole runs, least to most."
"""How to read the table."""


def provenance(quick: bool, precision: str | None = None) -> Results:
    """When, where and with what a benchmark was run; ``precision`` is that of its updates."""
    machine, found = hardware(), versions()
    with suppress(PackageNotFoundError):
        found["stable-baselines3"] = version("stable-baselines3")
    origin = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit_label(),
        "quick": quick,
        "cpu": machine["cpu"],
        "cpu_count": os.cpu_count(),
        "torch_threads": int(machine["torch_threads"]),
        "instructions": {name: os.environ[name] for name in INSTRUCTIONS if name in os.environ},
        "versions": found,
    }
    return origin | ({} if precision is None else {"precision": precision})


def save(results: Results, path: Path) -> None:
    """Write ``results`` as JSON, numbers at four significant digits, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(_short(results), indent=2, allow_nan=False) + "\n")
    os.replace(draft, path)


def make_table(results: Results) -> Table:
    """One table of everything in ``results``; parts that were not measured are left out."""
    table = Table(title=f"throughput on {results['cpu']}, {results['cpu_count']} cores")
    table.add_column("what")
    for heading in ("median", "spread", "ratio"):
        table.add_column(heading, justify="right")
    for part in (_rates, _tasks, _iterations, _runs):
        for row in part(results):
            table.add_row(*row)
        table.add_section()
    table.caption = f"{LEGEND} Unless stated, {results['torch_threads']} torch threads."
    return table


Rows = Iterator[tuple[str, ...]]


def _rates(results: Results) -> Rows:
    """Rates of environments over the floor's, and of updates over those of eager float32."""
    rates = results.get("env_steps_per_second", {})
    for name, rate in rates.items():
        spread, ratio = results["env_steps_quartiles"][name], rate / rates["floor"]
        yield f"env steps/s {name}", f"{rate:,.0f}", _range(spread), f"{ratio:.2f} of floor"
    for threads, found in results.get("updates_per_second_by_threads", {}).items():
        for name, rate in found.items():
            title = f"updates/s {name}, {threads} torch thread{'s'[: threads != '1']}"
            spread = results["updates_quartiles_by_threads"][threads][name]
            ratio = f"{rate / found['eager_fp32']:.2f} of eager fp32"
            yield title, f"{rate:,.1f}", _range(spread), ratio


def _tasks(results: Results) -> Rows:
    """Rates of ours on each task, on one thread, over the floor's."""
    for task, rates in results.get("task_env_steps_per_second", {}).items():
        name = next(name for name in rates if name.startswith("ours_"))
        spread, ratio = (
            results["task_env_steps_quartiles"][task][name],
            rates[name] / rates["floor"],
        )
        title = f"env steps/s {task.rpartition('/')[2]}, {name}"
        yield title, f"{rates[name]:,.0f}", _range(spread), f"{ratio:.2f} of floor"


def _iterations(results: Results) -> Rows:
    for name, found in results.get("iteration_seconds", {}).items():
        loop, ratio = found["loop"], f"{found['over_parts']:.2f} of its parts"
        yield f"iteration, {name}", f"{loop:.3f} s", "", ratio
        alone = {f"{part} alone": found[part] for part in ("environment", "updates")}
        whole = {"with evaluation, checkpoints": found["whole"]}
        for part, seconds in (alone | found["parts"] | whole).items():
            yield f"  {part}", f"{seconds:.4f} s", "", f"{seconds / loop:.1%} of iteration"


def _runs(results: Results) -> Rows:
    """Whole trainings, starts, and whole commands here and in another checkout."""
    for name, rounds in results.get("training_rounds", {}).items():
        times = median(results["training_rounds"]["sb3"]) / median(rounds)
        ratio = f"{times:.1f} times as fast as sb3"
        yield f"whole training, {name}", f"{median(rounds):,.1f} s", _range(rounds), ratio
    for key, what in (("startup_seconds", "start to first env step"), ("help_seconds", "--help")):
        if key in results:
            yield what, f"{results[key]:.2f} s", "", ""
    against = results.get("against", {})
    for kind in ("command", "epoch"):
        for name, rounds in against.get(f"{kind}_seconds", {}).items():
            ratio = f"{against[f'{kind}_here_over_there']:.3f} of there" if name == "here" else ""
            yield f"{kind}, {name}", f"{median(rounds):.2f} s", _range(rounds), ratio


def _range(values: list[float]) -> str:
    return f"{min(values):,.1f} to {max(values):,.1f}"


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_short(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def finish(table: Table, results: Results, path: Path) -> int:
    """Show, record, and say where; exit status."""
    Console(width=100).print(table)
    save(results, path)
    print(f"results {path}")
    return 0
