"""Build and run what a training command asks for."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from rher_pl.callbacks.checkpoint import Checkpoints
from rher_pl.callbacks.description import RunDescription
from rher_pl.callbacks.garbage import GarbageCollection
from rher_pl.callbacks.guard import FiniteGuard
from rher_pl.callbacks.progress import ProgressLine
from rher_pl.callbacks.recording import RecordConfig
from rher_pl.callbacks.stopping import StopOnSignal, signals_stop
from rher_pl.callbacks.summary import Summary
from rher_pl.callbacks.trained_model import ModelRecorder
from rher_pl.callbacks.warm_up import WarmUp
from rher_pl.cli import exit_status
from rher_pl.cli.fit_cli import FitCLI, cannot_begin, one_line
from rher_pl.cli.fit_parser import FitParser
from rher_pl.cli.quiet import quiet
from rher_pl.cli.yaml_guard import check_arguments, guard_loader
from rher_pl.errors import Stopped, say
from rher_pl.learner.precision import default_precision
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status; ``arguments`` begin with the subcommand.

    Raises:
        ConfigError: before training, for anything that the user can fix.
        TrainingError: for a fault during training.
    """
    try:
        run_cli(arguments)
    except Stopped as stopped:
        name = signal.Signals(stopped.number).name
        hint = "; --ckpt_path last continues" if arguments[0] == "fit" else ""
        say(f"stopped by {name}{hint}")
        return exit_status.SIGNAL + stopped.number
    return exit_status.SUCCESS


def run_cli(arguments: list[str], objects: Mapping[str, Any] | None = None) -> FitCLI:
    """Parse, build and run; the result holds the module and the trainer.

    Args:
        arguments: as of :func:`run`.
        objects: options of the trainer, by name, whose values are Python objects.

    Raises:
        Stopped: on a signal, after the run was saved and recorded.
    """
    quiet()
    guard_loader()
    with signals_stop(), one_line(cannot_begin):
        check_arguments(arguments)
        return make_cli(arguments, objects or {})


def make_cli(arguments: list[str], objects: Mapping[str, Any]) -> FitCLI:
    """Parse, build and run."""
    return FitCLI(
        objects,
        RHERModule,
        RelayDataModule,
        save_config_callback=RecordConfig,
        save_config_kwargs={"save_to_log_dir": False},
        parser_class=FitParser,
        trainer_defaults={
            "accelerator": "cpu",
            "devices": 1,
            "precision": default_precision(),
            "logger": False,
            "num_sanity_val_steps": 0,
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "callbacks": [
                GarbageCollection(),
                FiniteGuard(),
                WarmUp(),
                ProgressLine(),
                Summary(),
                RunDescription(),
                ModelRecorder(),
                Checkpoints(),
                StopOnSignal(),  # after Checkpoints: Lightning keeps the order of these two
            ],
        },
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
        args=arguments,
    )
