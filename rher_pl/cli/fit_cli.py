"""The command line: LightningCLI with our defaults, and errors of one line."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from farama_notifications import notifications
from lightning.pytorch import Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from rher_pl.callbacks.checkpoint import Checkpoints
from rher_pl.callbacks.description import RunDescription
from rher_pl.callbacks.garbage import GarbageCollection
from rher_pl.callbacks.guard import FiniteGuard
from rher_pl.callbacks.progress import ProgressLine
from rher_pl.callbacks.recording import RecordConfig, RunRecorder
from rher_pl.callbacks.stopping import StopOnSignal, signals_stop
from rher_pl.callbacks.summary import Summary
from rher_pl.callbacks.throughput import Throughput
from rher_pl.callbacks.trained_model import ModelRecorder
from rher_pl.callbacks.video import VideoRecorder
from rher_pl.callbacks.warm_up import WarmUp
from rher_pl.checkpoints.file import SealedCheckpointIO
from rher_pl.choices import RelayMode
from rher_pl.cli import preflight
from rher_pl.cli.messages import LINKED, explain, known_options
from rher_pl.errors import ConfigError, Stopped, TrainingError, fault
from rher_pl.fit import EXIT_SIGNAL, SUBCOMMANDS
from rher_pl.learner.precision import cpu_has_bfloat16, default_precision, is_reduced
from rher_pl.tasks import task_relay
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

NOISE = (
    (r".*does not have many workers.*", UserWarning),  # one batch of seeds needs no workers
    (r".*isinstance\(treespec, LeafSpec\).*", Warning),  # Lightning's use of a torch internal
    (r".*Checkpoint directory .* exists and is not empty.*", UserWarning),  # as when resuming
    (r".*The dirpath has changed from.*", UserWarning),  # evaluating needs no folder
)
PROBES: tuple[dict[str, Any], ...] = (
    {"data.task": "FetchPush-v4", "seed_everything": 0},
    {"data.task": "FetchReach-v4", "seed_everything": 1},
)
"""Two sets of defaults: what differs between them in the result was not set by the user."""


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
        parser.add_lightning_class_args(VideoRecorder, "video")
        for target, source in LINKED.items():
            parser.link_arguments(source, target)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """What a checkpoint was made with are the defaults for continuing or evaluating it."""
        assert isinstance(args, list)
        command = args[0]
        subparser = self._subcommand_parsers[command]
        self._suit_accelerator(parser, args, command)
        self.config = parser.parse_args(args)
        config = self.config[command]
        preflight.check_linked(config.config)
        self.made_with: preflight.MadeWith | None = None
        if path := config.ckpt_path:
            if path in preflight.KEYWORDS:
                wanted = self._said(parser, args, command)
                path = preflight.find_checkpoint(path, config.recorder.folder, wanted)
            self.made_with = preflight.read_checkpoint(path)
            known = known_options(subparser)
            subparser.set_defaults({k: v for k, v in self.made_with.options.items() if k in known})
            self.config = parser.parse_args(args)
            config = self.config[command]
            config.ckpt_path = path
            mode = RelayMode(self.made_with.options.get("data.relay", RelayMode.full))
            relay = task_relay(config.data.task, mode)
            task, fit = config.data.task, command == "fit"
            preflight.check_made_with(self.made_with, task, relay.to_dict(), fit)
        preflight.check_seed(config.seed_everything)

    def _suit_accelerator(
        self, parser: LightningArgumentParser, args: list[str], command: str
    ) -> None:
        """The default precision is that of the CPU; another accelerator has its own."""
        asked = [arg for arg in args if not arg.startswith("--print_config")]
        accelerator = parser.parse_args(asked)[command].trainer.accelerator
        precision = default_precision(accelerator)
        self._subcommand_parsers[command].set_defaults({"trainer.precision": precision})

    def _said(
        self, parser: LightningArgumentParser, args: list[str], command: str
    ) -> dict[str, Any]:
        """Task and seed where the command line or a config sets them: defaults do not show."""
        parsed = []
        for defaults in PROBES:
            self._subcommand_parsers[command].set_defaults(defaults)
            parsed.append(parser.parse_args(args)[command])
        first, second = parsed
        return {name: first[name] for name in PROBES[0] if first[name] == second[name]}

    def _parse_ckpt_path(self) -> None:
        """Lightning's would let a checkpoint override the command line; ours are defaults."""

    def before_instantiate_classes(self) -> None:
        """All that can be known to be wrong before anything is built."""
        config = self.config[self.subcommand]
        if self.subcommand == "fit":
            preflight.check_limits(config.trainer)
            self._choose_run(config)
        elif not config.ckpt_path:
            raise ConfigError(f"nothing to {self.subcommand}: add --ckpt_path <file>.ckpt")

    def _choose_run(self, config: Any) -> None:
        """The same run goes on; under other options its record would not be true any more."""
        if self.made_with is None or config.recorder.run_id:
            return
        changed = self.made_with.changed(
            {name: config.get(name) for name in self.made_with.options if name in config}
        )
        if changed:
            print(f"other options than before ({', '.join(changed)}): a new run begins")
        else:
            config.recorder.run_id = self.made_with.run_id

    def after_instantiate_classes(self) -> None:
        if self.made_with is not None:
            shapes = {name: value.shape for name, value in self.model.state_dict().items()}
            preflight.check_shapes(self.made_with, shapes, dict(self.model.hparams))
            recorder: RunRecorder = self._get(self.config_init, "recorder")
            if recorder.run_id != self.made_with.run_id:
                recorder.continued_from = self.made_with.run_id

    def _run_subcommand(self, subcommand: str) -> None:
        with _one_line(self._kind_of_fault):
            super()._run_subcommand(subcommand)

    def _kind_of_fault(self, message: str) -> Exception:
        """Faults before the first iteration are of the config or the checkpoint."""
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(each, Throughput) and each.began for each in callbacks):
            folder = self._get(self.config_init, "recorder").checkpoint_folder
            return TrainingError(f"{message}; more in {folder}/traceback.txt")
        return _cannot_begin(message)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        # Throughput goes first: it adds to the metrics that the others record and show.
        own = self._get(self.config_init, "trainer").callbacks or []
        own = own if isinstance(own, list) else [own]
        kwargs["callbacks"] = [Throughput(), *own, StopOnSignal()]
        plugins = self._get(self.config_init, "trainer").plugins or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        kwargs["plugins"] = [*plugins, SealedCheckpointIO()]
        try:
            return super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, TypeError, ValueError) as error:
            raise ConfigError(f"trainer options: {error}") from error

    def before_fit(self) -> None:
        """Where the run will be written must be reachable before the first env step."""
        recorder: RunRecorder = self._get(self.config_init, "recorder")
        preflight.check_writable(recorder.folder)
        preflight.check_tracking_uri(recorder.tracking_uri)
        device = self.trainer.strategy.root_device.type
        if device != "cpu":
            print(
                f"warning: on {device} the same seed need not give the same bits", file=sys.stderr
            )
        elif is_reduced(self.trainer.precision) and not cpu_has_bfloat16():
            print(
                "warning: this CPU has no bfloat16 and emulates it, many times slower: "
                "--trainer.precision 32-true is the fast one here",
                file=sys.stderr,
            )


def _cannot_begin(message: str) -> ConfigError:
    return ConfigError(f"this cannot begin, look at the options: {message}")


@contextmanager
def _one_line(kind: Callable[[str], Exception]) -> Iterator[None]:
    """Turn what no check foresaw into one line."""
    try:
        yield
    except (ConfigError, TrainingError, Stopped):
        raise
    except Exception as error:
        raise kind(fault(error)) from error


def quiet() -> None:
    """Silence messages of libraries that a user can do nothing about; all others stay."""
    for message, category in NOISE:
        warnings.filterwarnings("ignore", message=message, category=category)
    # Hardware and seed lines, tips for other products: our own lines say what matters.
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Printed when gymnasium-robotics is imported, about hand environments that are not used here.
    notifications.setdefault("gymnasium_robotics", {}).clear()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
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
        with signals_stop(), _one_line(_cannot_begin):
            make_cli(arguments)
    except Stopped as stopped:
        name = signal.Signals(stopped.number).name
        hint = "; --ckpt_path last continues" if arguments[0] == "fit" else ""
        print(f"stopped by {name}{hint}", file=sys.stderr)
        return EXIT_SIGNAL + stopped.number
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
                GarbageCollection(),
                FiniteGuard(),
                WarmUp(),
                ProgressLine(),
                Summary(),
                RunDescription(),
                Checkpoints(),
                ModelRecorder(),
            ],
        },
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
        args=arguments,
    )
