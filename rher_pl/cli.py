"""The command line: LightningCLI with our defaults, and errors of one line."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import torch
from farama_notifications import notifications
from lightning.pytorch import Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from rher_pl import preflight
from rher_pl.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from rher_pl.callbacks.description import RunDescription
from rher_pl.callbacks.guard import FiniteGuard
from rher_pl.callbacks.progress import ProgressLine
from rher_pl.callbacks.recording import RecordConfig, RunRecorder
from rher_pl.callbacks.summary import Summary
from rher_pl.callbacks.throughput import Throughput
from rher_pl.datamodule import RelayDataModule
from rher_pl.errors import ConfigError
from rher_pl.fit import EXIT_TERMINATED, SUBCOMMANDS
from rher_pl.module import RHERModule
from rher_pl.usage import LINKED, explain, known_options

NOISE = (
    (r".*does not have many workers.*", UserWarning),  # one batch of seeds needs no workers
    (r".*isinstance\(treespec, LeafSpec\).*", Warning),  # Lightning's use of a torch internal
    (r".*Checkpoint directory .* exists and is not empty.*", UserWarning),  # as when resuming
    (r".*The dirpath has changed from.*", UserWarning),  # evaluating needs no folder
)


def default_precision() -> str:
    """``bf16-mixed`` where the CPU computes in bfloat16 natively, else ``32-true``."""
    native = torch.cpu.get_capabilities()
    return "bf16-mixed" if native.get("avx512_bf16") or native.get("amx_bf16") else "32-true"


class Parser(LightningArgumentParser):
    """Refuses abbreviated options, and raises instead of printing usage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> Any:
        raise ConfigError(explain(message, known_options(self))) from ex


class FitCLI(LightningCLI):
    """``fit``, ``validate`` and ``test`` of :class:`RHERModule` on :class:`RelayDataModule`."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        known = LightningCLI.subcommands()
        return {name: known[name] for name in SUBCOMMANDS}

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--seed_everything", type=int, default=0, help="Seed of everything that is random."
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(RunRecorder, "recorder")
        for target, source in LINKED.items():
            parser.link_arguments(source, target)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """What a checkpoint was made with are the defaults for continuing or evaluating it."""
        assert isinstance(args, list)
        command = args[0]
        self.config = parser.parse_args(args)
        self.made_with = preflight.read_checkpoint(self.config[command].ckpt_path)
        if self.made_with is not None:
            subparser = self._subcommand_parsers[command]
            known = known_options(subparser)
            made_with = {k: v for k, v in self.made_with.options.items() if k in known}
            subparser.set_defaults(made_with)
            self.config = parser.parse_args(args)
            preflight.check_task(self.made_with, self.config[command].data.task)
        preflight.check_seed(self.config[command].seed_everything)
        preflight.check_linked(self.config[command].config)

    def _parse_ckpt_path(self) -> None:
        """Lightning's would let a checkpoint override the command line; ours are defaults."""

    def before_instantiate_classes(self) -> None:
        """All that can be known to be wrong before anything is built."""
        config = self.config[self.subcommand]
        if self.subcommand == "fit":
            preflight.check_limits(config.trainer)
            if self.made_with is not None and not config.recorder.run_id:
                config.recorder.run_id = self.made_with.run_id
        elif not config.ckpt_path:
            raise ConfigError(f"nothing to {self.subcommand}: add --ckpt_path <file>.ckpt")

    def after_instantiate_classes(self) -> None:
        if self.made_with is not None:
            shapes = {name: value.shape for name, value in self.model.state_dict().items()}
            preflight.check_shapes(self.made_with, shapes, dict(self.model.hparams))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        # Throughput goes first: it adds to the metrics that the others record and show.
        own = self._get(self.config_init, "trainer").callbacks or []
        kwargs["callbacks"] = [Throughput(), *(own if isinstance(own, list) else [own])]
        try:
            return super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, TypeError, ValueError) as error:
            raise ConfigError(f"trainer options: {error}") from error

    def before_fit(self) -> None:
        """Where the run will be written must be reachable before the first env step."""
        recorder: RunRecorder = self._get(self.config_init, "recorder")
        preflight.check_writable(recorder.folder)
        preflight.check_tracking_uri(recorder.tracking_uri)


def quiet() -> None:
    """Silence messages of libraries that a user can do nothing about; all others stay."""
    for message, category in NOISE:
        warnings.filterwarnings("ignore", message=message, category=category)
    # Hardware and seed lines, tips for other products: our own lines say what matters.
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Printed when gymnasium-robotics is imported, about hand environments that are not used here.
    notifications.setdefault("gymnasium_robotics", {}).clear()
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # read when mlflow is imported,
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # and where it is already


def run(arguments: list[str]) -> int:
    """Run one command; ``arguments`` begin with the subcommand.

    Raises:
        ConfigError: before training, for anything that the user can fix.
        TrainingError: for a fault during training.
    """
    quiet()
    try:
        make_cli(arguments)
    except SIGTERMException:
        return EXIT_TERMINATED
    return 0


def make_cli(arguments: list[str]) -> FitCLI:
    """Parse, build and run."""
    return FitCLI(
        RHERModule,
        RelayDataModule,
        save_config_callback=RecordConfig,
        save_config_kwargs={"save_to_log_dir": False},
        parser_class=Parser,
        trainer_defaults={
            "accelerator": "cpu",
            "devices": 1,
            "precision": default_precision(),
            "logger": False,
            "num_sanity_val_steps": 0,
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "callbacks": [
                FiniteGuard(),
                ProgressLine(),
                Summary(),
                RunDescription(),
                BestCheckpoint(),
                LastCheckpoint(),
            ],
        },
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
        args=arguments,
    )
