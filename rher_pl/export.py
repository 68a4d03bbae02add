"""Take a policy elsewhere: ``python -m rher_pl.export --ckpt best.ckpt --to onnx``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rher_pl.cli import exit_status
from rher_pl.cli.command import Parser, run_command, seed
from rher_pl.cli.policy_options import add_policy_options, chosen_policy
from rher_pl.evaluation import CARD_SEED

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy

TARGETS = ("onnx", "torchscript", "torch_export", "mlflow", "pretrained")


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        "rher_pl.export",
        "Write a trained policy to files that work without this package, each checked against the "
        "live policy.",
    )
    add_policy_options(parser)
    parser.add_argument("--to", nargs="+", choices=TARGETS, required=True, help="kinds of files")
    parser.add_argument("--out", metavar="DIR", default="exported", help="output folder (exported)")
    parser.add_argument("--name", help="name of the files, without suffix (the task's name)")
    parser.add_argument(
        "--episodes",
        type=int,
        default=100,
        help="episodes evaluated for the card; 0 writes no card (100)",
    )
    parser.add_argument(
        "--seed", type=seed, default=CARD_SEED, help=f"seed of the first episode ({CARD_SEED})"
    )
    return parser


def how_to_use(trained: TrainedPolicy, targets: Sequence[str], folder: Path, name: str) -> str:
    """Python for each kind of file, in Markdown; for ``pretrained``, an episode in Gymnasium."""
    from rher_pl.deploy.exporting import file_of
    from rher_pl.deploy.pretrained import FOLDER as PACKAGED
    from rher_pl.deploy.usage import episode, usage

    files = {target: file_of(target, folder, name).name for target in targets}
    text, task = usage(files), trained.task
    shown = name if folder.resolve() == PACKAGED else files.get("pretrained", name)
    if "pretrained" not in files or task.gymnasium_id is None or task.written is not None:
        return text
    return f"{episode(shown, task)}\n{text}" if len(files) > 1 else episode(shown, task)


def export_command(argv: Sequence[str]) -> int:
    options = make_parser().parse_args(argv)

    from rich.console import Console

    from rher_pl.cli.quiet import quiet
    from rher_pl.deploy.card import card_of
    from rher_pl.deploy.exporting import export, read_back
    from rher_pl.deploy.measure import measure
    from rher_pl.deploy.parity import CHECKED_STATES, TOLERANCE, parity_gap
    from rher_pl.errors import require
    from rher_pl.paths import check_writable, require_name
    from rher_pl.tracking.provenance import versions

    quiet()
    folder, console = Path(options.out), Console(soft_wrap=True, highlight=False)
    trained = chosen_policy(options)
    name = options.name or trained.task_name.replace("/", "_")
    require_name(name, "--name")
    require("/" not in name, f"--name {name[:80]!r} is a path: name the folder with --out")
    check_writable(options.out, "--out")
    folder.mkdir(parents=True, exist_ok=True)
    taken = folder / f"{name}_mlflow"
    require(
        "mlflow" not in options.to or not taken.exists(),
        f"{taken} exists: remove it, or choose another --name",
    )
    card = ""
    if options.episodes > 0:
        use = how_to_use(trained, options.to, folder, name)
        figures = measure(trained, options.episodes, options.seed)
        card = card_of(trained, figures, versions(), use)
        (folder / f"{name}.md").write_text(card)
        console.print(f"{folder / f'{name}.md'}: card, {options.episodes} episodes")
    failed = False
    for target in options.to:
        path = export(trained, target, folder, name, card)
        gap = parity_gap(trained.portable, read_back(target, path))
        failed |= not gap <= TOLERANCE  # true for a NaN, too
        verdict = "ok" if gap <= TOLERANCE else f"WRONG, more than {TOLERANCE:g}: do not use it"
        console.print(f"{path}: {target}, off by {gap:.1e} on {CHECKED_STATES} states: {verdict}")
    return exit_status.FAULT if failed else exit_status.SUCCESS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 on success, 1 if a file does not act as the policy, 2 for a mistake in the arguments.
    """
    return run_command(export_command, argv)


if __name__ == "__main__":
    sys.exit(main())
