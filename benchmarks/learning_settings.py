"""Settings of a learning benchmark: from config and overrides to objects, and to a file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from benchmarks.records import Records
from rher_pl.cli.fit_cli import Parser, quiet
from rher_pl.cli.messages import LINKED
from rher_pl.errors import ConfigError
from rher_pl.learner.precision import default_precision
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

FORCED = {
    "logger": "false",
    "callbacks": "null",
    "enable_checkpointing": "false",
    "enable_progress_bar": "false",
    "enable_model_summary": "false",
    "num_sanity_val_steps": "0",
    "max_epochs": "-1",  # the recorder ends the run at its budget of env steps
}
"""Trainer settings that a benchmark decides; the recorder does what they would."""


class _CLI(LightningCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for target, source in LINKED.items():
            parser.link_arguments(source, target)


def build(arguments: list[str], seed: int) -> LightningCLI:
    """Module, data module and trainer from config and overrides, typed and checked as in fit.

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range.
    """
    quiet()
    warnings.filterwarnings("ignore", message=".*LightningCLI's args parameter.*")
    forced = [f"--trainer.{name}={value}" for name, value in FORCED.items()]
    return _CLI(
        RHERModule,
        RelayDataModule,
        save_config_callback=None,
        parser_class=Parser,
        trainer_defaults={
            "accelerator": "cpu",
            "devices": 1,
            "precision": default_precision(),
        },
        auto_configure_optimizers=False,
        args=[*arguments, *forced, f"--seed_everything={seed}"],
        run=False,
    )


def resolve(config: Path, overrides: Sequence[str]) -> str:
    """All settings of the runs as YAML, without their seeds.

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range.
    """
    decided = {"seed_everything": "--seeds", "trainer.max_epochs": "--env_steps"}
    for option in overrides:
        name = option.lstrip("-").partition("=")[0]
        if name in decided or name.removeprefix("trainer.") in FORCED:
            instead = f"use {decided[name]}" if name in decided else "leave it out"
            raise ConfigError(f"a benchmark decides --{name} itself: {instead}")
    cli = build(["--config", str(config), *overrides], seed=0)
    settings = yaml.safe_load(cli.parser.dump(cli.config))
    return yaml.safe_dump(
        {
            "model": settings["model"],
            "data": settings["data"],
            "trainer": {
                key: value
                for key, value in settings["trainer"].items()
                if value is not None and key not in FORCED
            },
        },
        sort_keys=False,
    )


def keep(records: Records, settings: str) -> None:
    """Write the settings of a benchmark beside its records.

    Raises:
        ConfigError: what is recorded already was made with others.
    """
    kept = records.path.with_suffix(".yaml")
    if records.read() and (changed := differing(kept, settings)):
        raise ConfigError(
            f"{records.path} was recorded with other settings ({', '.join(changed)}): "
            "start over with --fresh, or keep it and record elsewhere (--name or --results)"
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(settings)


def differing(kept: Path, settings: str) -> list[str]:
    """Names of the settings that differ from those of an earlier run, as ``model.gamma``."""

    def flat(text: str) -> dict[str, Any]:
        groups = (yaml.safe_load(text) or {}).items()
        return {f"{group}.{key}": value for group, keys in groups for key, value in keys.items()}

    ours, theirs = flat(settings), flat(kept.read_text() if kept.exists() else "")
    return sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
