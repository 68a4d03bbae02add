"""The table and the file of a throughput benchmark."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.throughput.iteration import Iteration
from benchmarks.throughput.rounds import Rate
from rher_pl.learner.precision import default_precision
from rher_pl.tracking.provenance import commit_label, hardware, versions

Results = dict[str, Any]

LEGEND = "Spread: between the quartiles of rounds taken in turns; of trainings, least to most."
"""How to read the table."""


def environment_results(rates: Mapping[str, Rate]) -> Results:
    """``env_steps_per_second`` by contestant, and each one's spread."""
    return {"env_steps_per_second": _medians(rates), "env_steps_quartiles": _quartiles(rates)}


def update_results(rates: Mapping[int, Mapping[str, Rate]], default: int) -> Results:
    """``updates_per_second`` with ``default`` torch threads, and with every number of them."""
    by_threads = {str(threads): _medians(found) for threads, found in rates.items()}
    return {
        "updates_per_second": by_threads[str(default)],
        "updates_per_second_by_threads": by_threads,
        "updates_quartiles_by_threads": {str(n): _quartiles(found) for n, found in rates.items()},
    }


def iteration_results(found: Mapping[str, Iteration], default: str) -> Results:
    """``iteration_over_parts`` of the kind of run that ``default`` names, and all about each."""
    return {
        "iteration_over_parts": found[default].over_parts,
        "iteration_over_parts_by_collection": {n: i.over_parts for n, i in found.items()},
        "iteration_seconds": {name: asdict(iteration) for name, iteration in found.items()},
    }


def provenance(quick: bool) -> Results:
    """When, where and with what a benchmark was run."""
    machine = hardware()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit_label(),
        "quick": quick,
        "cpu": machine["cpu"],
        "cpu_count": os.cpu_count(),
        "torch_threads": int(machine["torch_threads"]),
        "precision": default_precision(),
        "versions": versions() | {"stable-baselines3": version("stable-baselines3")},
    }


def save(results: Results, path: Path) -> None:
    """Write ``results`` as JSON, numbers at four significant digits, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(_short(results), indent=2, allow_nan=False) + "\n")
    os.replace(draft, path)


def make_table(results: Results) -> Table:
    """One table of everything in ``results``."""
    threads = results["torch_threads"]
    table = Table(title=f"throughput on {results['cpu']}, {results['cpu_count']} cores")
    table.add_column("what")
    for heading in ("median", "spread", "ratio"):
        table.add_column(heading, justify="right")
    rates, floor = results["env_steps_per_second"], results["env_steps_per_second"]["floor"]
    for name, rate in rates.items():
        spread = _spread(results["env_steps_quartiles"][name])
        table.add_row(f"env steps/s {name}", f"{rate:,.0f}", spread, f"{rate / floor:.2f} of floor")
    for count, found in results["updates_per_second_by_threads"].items():
        table.add_section()
        quartiles, base = results["updates_quartiles_by_threads"][count], found["eager_fp32"]
        for name, rate in found.items():
            title = f"updates/s {name}, {count} torch thread{'s'[: count != '1']}"
            spread = _spread(quartiles[name])
            table.add_row(title, f"{rate:,.1f}", spread, f"{rate / base:.2f} of eager")
    for name, seconds in results["iteration_seconds"].items():
        table.add_section()
        _add_iteration(table, name, seconds)
    table.add_section()
    trainings = results["training_seconds"]
    for name, seconds in trainings.items():
        faster = f"{trainings['sb3'] / seconds:.1f} times as fast as sb3"
        rounds = results["training_rounds"][name]
        spread = f"{min(rounds):,.1f} to {max(rounds):,.1f}"
        table.add_row(f"whole training, {name}", f"{seconds:,.1f} s", spread, faster)
    table.add_row("start to first env step", f"{results['startup_seconds']:.1f} s", "", "")
    table.add_row("--help", f"{results['help_seconds']:.2f} s", "", "")
    table.caption = f"{LEGEND} Where not said, {threads} torch threads."
    return table


def _add_iteration(table: Table, name: str, seconds: Mapping[str, Any]) -> None:
    loop = seconds["loop"]
    table.add_row(
        f"iteration, {name}", f"{loop:.3f} s", "", f"{seconds['over_parts']:.2f} of its parts"
    )
    for part in ("environment", "updates"):
        value = seconds[part]
        table.add_row(f"  {part} alone", f"{value:.3f} s", "", f"{value / loop:.1%} of iteration")
    for part, value in seconds["parts"].items():
        table.add_row(f"  {part}", f"{value:.4f} s", "", f"{value / loop:.1%} of iteration")
    whole = seconds["whole"]
    table.add_row("  with evaluation, checkpoints", f"{whole:.3f} s", "", f"{whole / loop:.2f}")


def _medians(rates: Mapping[str, Rate]) -> dict[str, float]:
    return {name: rate.median for name, rate in rates.items()}


def _quartiles(rates: Mapping[str, Rate]) -> dict[str, list[float]]:
    return {name: [rate.low, rate.high] for name, rate in rates.items()}


def _spread(quartiles: list[float]) -> str:
    low, high = quartiles
    return f"{low:,.0f} to {high:,.0f}"


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_short(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
