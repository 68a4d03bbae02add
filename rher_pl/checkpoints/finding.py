"""The newest whole checkpoint of an output folder, or the best of a run."""

from __future__ import annotations

from collections.abc import Mapping
from glob import escape
from pathlib import Path
from typing import Any

from rher_pl.checkpoints.info import CheckpointInfo, read_info
from rher_pl.errors import ConfigError, require, warn

KEYWORDS = {
    "last": ("last.ckpt", "previous.ckpt", "best.ckpt"),
    "best": ("best.ckpt",),
}
"""Values of ``--ckpt_path`` that stand for the newest whole checkpoint of one of these names.

``last`` takes any of the three, so that an older one is continued if the newest is damaged.
"""
OF_A_RUN = ("best.ckpt", "last.ckpt")
"""A run's checkpoints, in order of preference for using its policy."""


def newest_checkpoint(keyword: str, folder: str, wanted: Mapping[str, Any]) -> CheckpointInfo:
    """The newest whole checkpoint in an output folder.

    Args:
        keyword: one of ``KEYWORDS``.
        folder: output folder of the runs.
        wanted: values of options, such as ``data.task``, that it must have been made with.

    Raises:
        ConfigError: if there is none.
    """
    found = [
        path for name in KEYWORDS[keyword] for path in Path(folder).glob(f"checkpoints/*/{name}")
    ]
    others: list[str] = []
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            info = read_info(str(path))
        except ConfigError as error:
            reason = str(error).rpartition(": ")[0]
            warn(f"{reason}: trying an older one")
            continue
        if all(info.options.get(name) == value for name, value in wanted.items()):
            return info
        others.append(str(path))
    asked = " and ".join(f"{name} {value}" for name, value in wanted.items())
    raise ConfigError(
        f"no {keyword} checkpoint{' with ' + asked if asked else ''} in {folder}/checkpoints: "
        + (
            f"{others[0]} was made with other options; to use it, write its path"
            if others
            else "give --ckpt_path a .ckpt file"
        )
    )


def checkpoint_of_run(run_id: str, folder: str) -> Path | None:
    """The best checkpoint of a run in an output folder, None if it has none there.

    Args:
        run_id: of the MLflow run, or its first characters.
        folder: output folder of the run.

    Raises:
        ConfigError: if several runs begin with ``run_id``.
    """
    folders = sorted(Path(folder).glob(f"checkpoints/{escape(run_id)}*"))
    require(
        len(folders) <= 1,
        f"{len(folders)} run ids in {folder} begin with {run_id}: write more characters",
    )
    files = [path / name for path in folders for name in OF_A_RUN]
    return next((file for file in files if file.is_file()), None)
