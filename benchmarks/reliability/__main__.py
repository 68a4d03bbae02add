"""What becomes of a training under kills, broken input, real faults and in a long run.

Without an argument all parts are run, in about an hour on two cores. The figures go to
benchmarks/results/reliability.json, which keeps those of parts that were not run. Options that are
not listed are passed on to the trainings, for example: kills --data.num_envs 4
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rher_pl.cli.command import Parser, positive, run_command
from rher_pl.errors import require

RESULTS = Path("benchmarks/results/reliability.json")
MOST_SLOPE = 5.0
"""MiB per hour by which a long run may grow: a smaller slope cannot be measured."""
PARTS = ("kills", "fuzz", "faults", "soak")


def run_part(part: str, folder: Path, options: argparse.Namespace, extra: list[str]) -> Any:
    """Figures of one part, by name."""
    if part == "kills":
        from benchmarks.reliability.kills import run_kills

        figures = run_kills(folder / "in_turn", options.kills, options.seed, extra)
        pipelined = [*extra, "--data.pipelined", "true"]
        figures |= {
            f"{name}_pipelined": count
            for name, count in run_kills(
                folder / "pipelined", max(1, options.kills // 4), options.seed, pipelined
            ).items()
        }
        return figures
    if part == "fuzz":
        from benchmarks.reliability.fuzz import run_fuzz

        return run_fuzz(folder, options.cases, options.seed)
    if part == "faults":
        from benchmarks.reliability.faults import run_faults

        return run_faults(folder)
    from benchmarks.reliability.soak import run_soak

    return run_soak(folder, options.minutes, options.config, extra)


def is_sound(figures: dict[str, Any]) -> bool:
    """Whether no part found anything wrong."""
    return (
        all(
            figures.get(f"kills{how}", 0) == figures.get(f"identical_after_kill{how}", 0)
            for how in ("", "_pipelined")
        )
        and not figures.get("fuzz_failures")
        and not figures.get("hostile_failures")
        and all(v == "whole" for name, v in figures.items() if name.startswith("fault_"))
        and figures.get("soak_stopped_in_order", True)
        and figures.get("soak_memory_slope_mib_per_hour", 0.0) < MOST_SLOPE
    )


def body(arguments: Sequence[str]) -> int:
    """Run the parts; exit status 1 if anything was wrong."""
    parser = Parser("benchmarks.reliability", __doc__ or "")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument(
        "--kills",
        type=positive,
        default=20,
        help="number of kills, and a quarter more with pipelined collection (20)",
    )
    parser.add_argument(
        "--cases", type=positive, default=1500, help="cases of each kind of fuzz (1500)"
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the soak (30)")
    parser.add_argument(
        "--config", type=Path, default=Path("configs/push.yaml"), help="config of the soak"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all that is random here (0)")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"file ({RESULTS})")
    options, extra = parser.parse_known_args(arguments)
    for part in options.parts:
        require(part in PARTS, f"unknown part {part!r}: choose from {', '.join(PARTS)}")
    figures = json.loads(options.results.read_text()) if options.results.exists() else {}
    for part in options.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            figures |= run_part(part, Path(folder), options, extra)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    return 0 if is_sound(figures) else 1


if __name__ == "__main__":
    sys.exit(run_command(body, None))
