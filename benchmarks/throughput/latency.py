"""How long a trained policy takes to act, as on a robot: one state at a time, at a fixed rate.

Every kind of file acts in a loop of 25 Hz on one thread, on the states of an episode. Measured are
the milliseconds from a state to its action, and how late the loop's ticks are.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from benchmarks.throughput.report import finish, provenance
from rher_pl.cli.command import Parser, positive, run_command
from rher_pl.cli.quiet import quiet
from rher_pl.deploy.exporting import export
from rher_pl.deploy.portable import INPUTS
from rher_pl.deploy.trained import TrainedPolicy, load_policy
from rher_pl.deploy.usage import LINES

RESULTS = Path("benchmarks/results/latency.json")
PERIOD = 0.04
"""Seconds of a step of the Fetch tasks."""
Observation = dict[str, Any]


def actor(trained: TrainedPolicy, kind: str, folder: Path) -> Callable[[Observation], Any]:
    """A function that acts by the lines of a policy's card: all but the last are run once, here."""
    if kind == "load_policy":
        return trained
    path = export(trained, kind, folder, "policy", "")
    *once, each = LINES[kind].format(file=path).strip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(once), names)
    act = compile(each, kind, "exec")

    def run(observation: Observation) -> Any:
        names["observation"] = observation
        exec(act, names)

    return run


def observations(trained: TrainedPolicy) -> list[Observation]:
    """Observations of an episode that the policy plays."""
    import gymnasium

    from rher_pl.envs import fetch_sim  # noqa: F401 registers the environments

    env = gymnasium.make(str(trained.task.gymnasium_id))
    seen, _ = env.reset(seed=0)
    found = []
    for _ in range(50):
        found.append({name: seen[name].copy() for name in INPUTS})
        seen, *_ = env.step(trained(seen))
    env.close()
    return found


def loop(act: Callable[[Observation], Any], states: Sequence[Observation], steps: int) -> Any:
    """Milliseconds that each action takes, and that each tick is late, both [steps]."""
    took, late = np.zeros(steps), np.zeros(steps)
    due = time.monotonic()
    for step in range(steps):
        begun = time.monotonic()
        late[step] = begun - due
        act(states[step % len(states)])
        took[step] = time.monotonic() - begun
        due += PERIOD
        time.sleep(max(0.0, due - time.monotonic()))
    return 1000 * took, 1000 * late


def figures(values: Any) -> dict[str, float]:
    return {f"p{share}": float(np.percentile(values, share)) for share in (50, 99, 100)}


def make_parser() -> Parser:
    parser = Parser("benchmarks.throughput.latency", __doc__ or "")
    parser.add_argument("--pretrained", default="push", help="policy of the package (push)")
    parser.add_argument("--steps", type=positive, default=1_000, help="steps of each loop (1000)")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"JSON file ({RESULTS})")
    return parser


def body(arguments: Sequence[str]) -> int:
    """Measure, show and record."""
    options = make_parser().parse_args(arguments)
    quiet()
    torch.set_num_threads(1)
    trained = load_policy(options.pretrained)
    states = observations(trained)
    rows: dict[str, Any] = {}
    table = Table("policy", "ms, median", "p99", "most", "tick late, p99 (ms)")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("load_policy", "torchscript", "torch_export", "onnx"):
            act = actor(trained, kind, Path(folder))
            loop(act, states, 50)  # the first calls are slower: not timed
            took, late = map(figures, loop(act, states, options.steps))
            rows[kind] = {"action_ms": took, "tick_late_ms": late}
            told = (took["p50"], took["p99"], took["p100"], late["p99"])
            table.add_row(kind, *(f"{value:.2f}" for value in told))
    results = provenance(False) | {"hertz": 1 / PERIOD, "steps": options.steps}
    results |= {"policy": options.pretrained, "rows": rows}
    return finish(table, results, options.results)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; see ``--help``."""
    return run_command(body, argv)


if __name__ == "__main__":
    sys.exit(main())
