"""Options that choose the policy of a command: a file, a run or a name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rher_pl.errors import require

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where runs are recorded."""
    parser.add_argument("--folder", default="mlruns", help="output folder of the runs (mlruns)")
    parser.add_argument(
        "--tracking_uri", metavar="URI", help="MLflow store (sqlite:///<folder>/mlflow.db)"
    )


def add_policy_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a policy: a file, a run or a name."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--ckpt", metavar="FILE", help="a checkpoint, or hf://user/name")
    which.add_argument("--run", metavar="RUN_ID", help="the best checkpoint of a run")
    which.add_argument(
        "--pretrained", metavar="NAME", help="a shipped policy, such as push, or hf://user/name"
    )
    add_store_options(parser)


def chosen_policy(options: argparse.Namespace) -> TrainedPolicy:
    """Load what :func:`add_policy_options` asked for."""
    from rher_pl.deploy.hub import is_hub_address
    from rher_pl.deploy.pretrained import known_policies
    from rher_pl.deploy.trained import load_policy

    if options.run:
        from rher_pl.tracking.runs import run_checkpoint

        return load_policy(run_checkpoint(options.run, options.folder, options.tracking_uri))
    if is_hub_address(named := options.ckpt or options.pretrained):
        return load_policy(named)
    if options.ckpt:
        from rher_pl.checkpoints.file import require_file

        require_file(Path(options.ckpt))  # else it could be the name of one in the package
        return load_policy(Path(options.ckpt))
    known = known_policies()
    require(
        options.pretrained in known,
        f"no policy {options.pretrained!r:.200} comes with the package: "
        f"choose one of {', '.join(known) or 'none'}, or give --ckpt",
    )
    return load_policy(options.pretrained)


def add_view_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that chooses how a video is drawn."""
    parser.add_argument(
        "--view",
        choices=("camera", "top"),
        default="camera",
        help="camera of the simulator, or a plan from above that needs no graphics (camera)",
    )
