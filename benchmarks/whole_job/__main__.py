"""Seconds from the command to a confirmed success, of FetchPush at 95% by default.

Contestants: ours (``python -m rher_pl.fit``), and TD3 and SAC with HER of stable-baselines3 in
public settings for Fetch. Each runs in processes of its own, one after the other, until it is
solved as the config says (``until``: the mean of its last evaluations, and then fresh episodes), or
until --limit. The floor is what the env steps and updates of ours take by MuJoCo and matrix
products alone.

A contestant is recorded when it has ended; the others in the file stay. Close other programs first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.learning.settings import resolve
from benchmarks.whole_job.judging import Rule
from rher_pl.cli.command import Parser, run_command
from rher_pl.errors import ConfigError, TrainingError, require

RESULTS = Path("benchmarks/results/whole_job")
CONTESTANTS = ("ours", "td3", "sac", "floor")


def make_parser() -> Parser:
    parser = Parser("benchmarks.whole_job", __doc__ or "")
    config = Path("configs/push.yaml")
    parser.add_argument("--config", type=Path, default=config, help=f"of ours ({config})")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, help="these contestants")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="a job for each (0)")
    parser.add_argument("--limit", type=float, default=7200.0, help="seconds of a job (7200)")
    parser.add_argument("--results", type=Path, help=f"JSON file ({RESULTS}/<config>.json)")
    return parser


def body(arguments: Sequence[str]) -> int:
    """Run the jobs, record and show them."""
    options = make_parser().parse_args(arguments)
    require(options.limit > 0, f"--limit must be above 0, got {options.limit}")
    rule = Rule.of(options.config)
    names = options.only or CONTESTANTS
    if {"td3", "sac"} & {*names} and find_spec("stable_baselines3") is None:
        raise ConfigError(
            "stable-baselines3 is missing: pip install -c constraints.txt stable-baselines3"
        )
    path = options.results or RESULTS / f"{options.config.stem}.json"
    require_same_rule(path, rule)
    for name in names:
        origin = provenance_of(name, options.config)
        if name == "floor":
            save(path, name, origin | measure_floor(options.config))
            continue
        jobs: list[dict[str, Any]] = []
        for seed in options.seeds:
            print(f"{name}, seed {seed}: at most {options.limit:,.0f} s", flush=True)
            jobs.append(run_job(name, options.config, rule, seed, options.limit))
            judged = {"limit": options.limit, "rule": asdict(rule), "jobs": jobs}
            save(path, name, origin | judged)
    show(path)
    return 0


def require_same_rule(path: Path, rule: Rule) -> None:
    """Refuse to record beside contestants that were judged otherwise."""
    results = json.loads(path.read_text()) if path.is_file() else {}
    others = [name for name in results if results[name].get("rule", asdict(rule)) != asdict(rule)]
    require(not others, f"{path} has {', '.join(others)} under another rule: record with --results")


def provenance_of(name: str, config: Path) -> dict[str, Any]:
    """When, where and with what a contestant begins; stable-baselines3 computes in float32."""
    from benchmarks.throughput.report import provenance

    ours = name in ("ours", "floor")
    precision = str(resolve(config, {})["trainer"]["precision"]) if ours else "32-true"
    return provenance(quick=False, precision=precision)


def run_job(name: str, config: Path, rule: Rule, seed: int, limit: float) -> dict[str, Any]:
    """One training until it is done or too long.

    Returns:
        ``seconds`` from the command to the end of its process, ``done``, and the ``curve``, a line
        for each evaluation.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "curve.jsonl"
        begin = time.time()
        watch = {"begin": begin, "path": path, "limit": limit}
        if name == "ours":
            command = _ours(config, seed, watch, Path(folder))
        else:
            task = str(resolve(config, {})["data"]["task"])
            command = ["-m", "benchmarks.whole_job.sb3", "--algorithm", name, "--task", task]
            command += ["--rule", json.dumps(asdict(rule)), "--seed", str(seed)]
            command += [f"--{key}={value}" for key, value in watch.items()]
        try:
            subprocess.run(
                [sys.executable, *command],
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=limit + 600,
            )
        except subprocess.CalledProcessError as error:
            raise TrainingError(f"{name}, seed {seed}: exit status {error.returncode}") from error
        except subprocess.TimeoutExpired as error:
            raise TrainingError(
                f"{name}, seed {seed}: not ended at {error.timeout:,.0f} s"
            ) from error
        seconds = time.time() - begin
        curve = [json.loads(line) for line in path.read_text().splitlines()]
    return {"seed": seed, "seconds": seconds, "done": curve[-1]["done"], "curve": curve}


def _ours(config: Path, seed: int, watch: Mapping[str, object], folder: Path) -> list[str]:
    callback = "benchmarks.whole_job.ours.Finish"
    return [
        *("-m", "rher_pl.fit", "--config", str(config), "--seed_everything", str(seed)),
        *("--recorder.folder", str(folder)),
        f"--trainer.callbacks+={callback}",
        *(f"--trainer.callbacks.{key}={value}" for key, value in watch.items()),
    ]


def measure_floor(config: Path) -> dict[str, Any]:
    """Env steps and updates per second at the floor, on all cores."""
    from benchmarks.throughput.measure import QUICK, Subject
    from benchmarks.whole_job.floor import floor_rates

    settings, threads = resolve(config, {}), os.cpu_count() or 1
    batch_size = Subject(config, settings, QUICK).batch_size
    rates = floor_rates(str(settings["data"]["task"]), settings, batch_size, threads)
    return {"threads": threads, **{name: rate.median for name, rate in rates.items()}}


def save(path: Path, name: str, found: dict[str, Any]) -> None:
    """Record a contestant beside the others."""
    from benchmarks.throughput import report

    results = json.loads(path.read_text()) if path.is_file() else {}
    report.save(results | {name: found}, path)


def show(path: Path) -> None:
    from rich.console import Console

    from benchmarks.whole_job.table import make_table

    Console(highlight=False, width=100).print(make_table(json.loads(path.read_text())))
    print(f"results {path}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see ``--help``."""
    return run_command(body, argv)


if __name__ == "__main__":
    sys.exit(main())
