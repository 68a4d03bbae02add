"""Take a policy elsewhere: ``python -m rher_pl.export --ckpt best.ckpt --to onnx``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rher_pl.cli.command import EXIT_FAULT, Parser, add_policy_options, run_command

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy

TARGETS = ("onnx", "torchscript", "torch_export", "mlflow", "pretrained")
CHECKED_STATES = 1000
TOLERANCE = 1e-5
"""Largest difference of an action number from the live policy's."""


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        "rher_pl.export",
        "Write a trained policy to files that work without this package, each checked against "
        f"the live policy on {CHECKED_STATES} states.",
    )
    add_policy_options(parser)
    parser.add_argument("--to", nargs="+", choices=TARGETS, required=True, help="kinds of files")
    parser.add_argument("--out", metavar="DIR", default="exported", help="folder (exported)")
    parser.add_argument("--name", help="of the files, without suffix (the task's name)")
    parser.add_argument(
        "--episodes", type=int, default=100, help="evaluated for the card; 0 writes none (100)"
    )
    parser.add_argument("--seed", type=int, default=3_000_000, help="of the first one (3000000)")
    return parser


def difference(trained: TrainedPolicy, act: Any) -> float:
    """Largest difference of an exported policy's actions from the live policy's."""
    import torch
    from tensordict import TensorDict

    from rher_pl.deploy.formats import example_inputs

    portable, relay = trained.portable, trained.relay
    inputs = example_inputs(portable, CHECKED_STATES)
    with torch.no_grad():
        states = TensorDict(
            {
                "observation": inputs[0],
                "achieved_goals": portable.points(inputs[0], inputs[1]),
                "desired_goals": inputs[2].unflatten(-1, (relay.num_desired, 3)),
            },
            batch_size=[CHECKED_STATES],
        )
        live = trained.policy(states, torch.full((CHECKED_STATES,), relay.last))
        actions = torch.as_tensor(act(*inputs))
    return float((actions - live).abs().max())


def export(trained: TrainedPolicy, target: str, folder: Path, name: str, card: str) -> Path:
    """Write one kind of file; returns its path."""

    from rher_pl.checkpoints.file import write_checkpoint
    from rher_pl.deploy.formats import FORMATS
    from rher_pl.deploy.mlflow_model import save_mlflow_model
    from rher_pl.deploy.pretrained import SUFFIX
    from rher_pl.deploy.trained import policy_content

    if target == "mlflow":
        path = folder / f"{name}_mlflow"
        save_mlflow_model(trained.portable, path, card)
    elif target == "pretrained":
        path = folder / f"{name}{SUFFIX}"
        write_checkpoint(policy_content(trained.content), path)
    else:
        path = folder / f"{name}{FORMATS[target].suffix}"
        FORMATS[target].write(trained.portable, path)
    return path


def read_back(target: str, path: Path) -> Any:
    """What was exported, as a function of observation, achieved and desired goal."""
    from rher_pl.deploy.formats import FORMATS
    from rher_pl.deploy.portable import INPUTS
    from rher_pl.deploy.trained import load_policy

    if target == "mlflow":
        import mlflow

        model = mlflow.pyfunc.load_model(str(path))
        return lambda *inputs: model.predict(
            {key: value.double().numpy() for key, value in zip(INPUTS, inputs, strict=True)}
        )
    return load_policy(path).portable if target == "pretrained" else FORMATS[target].read(path)


def evaluated_card(trained: TrainedPolicy, episodes: int, seed: int, name: str | None) -> str:
    """A card with figures from new episodes; ``name`` if the policy comes with the package."""
    from rher_pl.deploy.card import make_card
    from rher_pl.evaluate import measure

    figures = measure(trained, episodes, seed)
    return make_card(
        trained.task.name,
        trained.counters,
        figures["subtasks"],
        f"seeds {seed:,} to {seed + episodes - 1:,}, none of which was used to train or to select",
        figures["versions"],
        name,
    )


def export_command(argv: Sequence[str]) -> int:
    options = make_parser().parse_args(argv)

    from rich.console import Console

    from rher_pl.cli.fit_cli import quiet
    from rher_pl.cli.preflight import check_writable
    from rher_pl.errors import require
    from rher_pl.evaluate import chosen_policy

    quiet()
    folder, console = Path(options.out), Console(soft_wrap=True, highlight=False)
    trained = chosen_policy(options)
    name = options.name or trained.task.name
    check_writable(options.out, "--out")
    taken = folder / f"{name}_mlflow"
    require(
        "mlflow" not in options.to or not taken.exists(), f"{taken} exists: remove it, or --name"
    )
    card, shipped = "", name if "pretrained" in options.to else None
    if options.episodes > 0:
        card = evaluated_card(trained, options.episodes, options.seed, shipped)
        (folder / f"{name}.md").write_text(card)
        console.print(f"{folder / f'{name}.md'}: card, {options.episodes} episodes")
    failed = False
    for target in options.to:
        path = export(trained, target, folder, name, card)
        gap = difference(trained, read_back(target, path))
        failed |= not gap <= TOLERANCE  # a NaN fails, too
        verdict = "ok" if gap <= TOLERANCE else f"WRONG, more than {TOLERANCE:g}: do not use it"
        console.print(f"{path}: {target}, off by {gap:.1e} on {CHECKED_STATES} states: {verdict}")
    return EXIT_FAULT if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 on success, 1 if a file does not act as the policy, 2 for a mistake in the arguments.
    """
    return run_command(export_command, argv)


if __name__ == "__main__":
    sys.exit(main())
