"""Learning curves from benchmark records, or by name from wherever they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rher_pl.compare.curve import Curve, Point
from rher_pl.errors import ConfigError, require

NAME = "benchmark"
"""Option that holds the name of benchmark records."""
RECORDS = "records.jsonl"
"""File of benchmark records in a folder of results."""


def find(names: Sequence[str], tracking_uri: str, metric: str) -> list[Curve]:
    """The curves of all runs that are named, each once.

    Args:
        names: files of records, folders with such files, run ids, or patterns of run names.
        tracking_uri: MLflow store in which runs are looked up.
        metric: ``success`` or ``success_not_solved_at_reset``.

    Raises:
        ConfigError: if a name finds nothing, or nothing with an evaluation.
    """
    from rher_pl.compare.store import Store

    curves: dict[str, Curve] = {}
    store: Store | None = None
    for name in names:
        if name.endswith(".jsonl"):
            found = read_records(Path(name), metric)
        elif Path(name).is_dir():
            found = read_folder(Path(name), metric)
        else:
            store = store or Store(tracking_uri)
            found = store.read(name, metric)
        require(bool(found), f"{name} holds no evaluation yet: name another run")
        curves |= {curve.source: curve for curve in found}
    return list(curves.values())


def read_folder(folder: Path, metric: str) -> list[Curve]:
    """The curves of all records in a folder and its subfolders."""
    files = sorted(folder.rglob(RECORDS))
    require(bool(files), f"no {RECORDS} in {folder}: name a folder of benchmark results")
    return [curve for file in files for curve in read_records(file, metric)]


def read_records(path: Path, metric: str) -> list[Curve]:
    """One curve for each seed of a file of benchmark records, which is one group of a task.

    Each line is one evaluation with ``task``, ``seed``, ``env_steps``, ``success`` and, where they
    were recorded, ``success_not_solved_at_reset``, ``updates`` and ``seconds``.
    """
    require(path.is_file(), f"no file {path}: give a run, or the {RECORDS} of a benchmark")
    try:
        records = [json.loads(line) for line in path.read_text().splitlines()]
        by_seed: dict[tuple[str, int], dict[int, Point]] = {}
        for record in sorted(records, key=lambda r: (r["seed"], r["env_steps"])):
            point = Point(float(record[metric]), record.get("updates"), record.get("seconds"))
            points = by_seed.setdefault((record["task"], record["seed"]), {})
            points[record["env_steps"]] = point
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no file of benchmark records: name another one") from error
    config = folder_config(path.parent.name if path.name == RECORDS else path.stem)
    return [
        Curve(f"{path} seed {seed}", task, seed, config, points)
        for (task, seed), points in by_seed.items()
    ]


def folder_config(name: str) -> dict[str, str]:
    """Options by name, read from a folder's name such as ``push+data.num_envs=8``."""
    first, *changed = name.split("+")
    return {NAME: first} | dict(option.partition("=")[::2] for option in changed)
