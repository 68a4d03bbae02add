"""What happens to a run when things go wrong: kills, broken input, real faults, and a long time.

``python -m benchmarks.reliability`` does all and takes about 50 minutes;
``python -m benchmarks.reliability kills`` (or ``fuzz``, ``faults``, ``soak``) does one. The figures
go to ``benchmarks/results/reliability.json``, where those of parts that were not run stay. Options
that are not listed go to the trainings, for example ``kills --data.num_envs 4``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "reliability.json"
FAULTS = ("server_away", "database_locked", "disk_full")
PARTS = ("kills", "fuzz", "faults", "soak")


def run_part(part: str, folder: Path, options: argparse.Namespace, extra: list[str]) -> Any:
    """Figures of one part, by name."""
    if part == "kills":
        from benchmarks.kills import run_kills

        return run_kills(folder, options.kills, options.seed, extra)
    if part == "fuzz":
        from benchmarks.fuzz import run_fuzz

        return run_fuzz(folder, options.cases, options.seed)
    if part == "faults":
        from benchmarks.faults import run_faults

        return run_faults(folder)
    from benchmarks.soak import run_soak

    return run_soak(folder, options.minutes, options.config, extra)


def main(argv: list[str] | None = None) -> int:
    """Run the parts; exit status 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--kills", type=int, default=20, help="processes killed (20)")
    parser.add_argument("--cases", type=int, default=300, help="cases of each kind of fuzz (300)")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak (30)")
    parser.add_argument("--config", default="configs/push.yaml", help="of the soak")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random here (0)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the figures")
    options, extra = parser.parse_known_args(argv)
    parts = options.parts or list(PARTS)
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"unknown part {unknown[0]!r}: choose of {', '.join(PARTS)}")
    figures = json.loads(options.results.read_text()) if options.results.exists() else {}
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            figures |= run_part(part, Path(folder), options, extra)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    lost = figures.get("kills", 0) != figures.get("identical_after_kill", 0)
    stuck = not figures.get("soak_stopped_in_order", True)
    broken = any(figures.get(f"fault_{name}", "whole") != "whole" for name in FAULTS)
    return 1 if lost or stuck or broken or figures.get("fuzz_failures") else 0


if __name__ == "__main__":
    sys.exit(main())
