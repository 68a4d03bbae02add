"""The command line of training: LightningCLI with our defaults, and checks before it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from rher_pl.callbacks.late_end import LateEnd
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.callbacks.throughput import Throughput
from rher_pl.callbacks.until import UntilSolved
from rher_pl.callbacks.video import VideoRecorder
from rher_pl.checkpoints.continuing import changed
from rher_pl.checkpoints.finding import KEYWORDS, newest_checkpoint
from rher_pl.checkpoints.info import CheckpointInfo, read_info
from rher_pl.checkpoints.trainer_io import SealedCheckpointIO
from rher_pl.choices import LINKED
from rher_pl.cli.checks import checkpoint as checkpoint_checks
from rher_pl.cli.checks import options as option_checks
from rher_pl.cli.checks.environment import quick_check
from rher_pl.cli.described_task import as_plain, as_written, chosen_task, refuse_code
from rher_pl.cli.fit_parser import FitParser, was_given
from rher_pl.cli.messages import explain, known_options
from rher_pl.cli.subcommands import SUBCOMMANDS
from rher_pl.errors import ConfigError, TrainingError, fault, require, warn
from rher_pl.learner.precision import cpu_has_bfloat16, default_precision, is_reduced
from rher_pl.paths import check_writable, require_plain
from rher_pl.tracking.store import named_by
from rher_pl.tracking.uri import check_tracking_uri
from rher_pl.training.checks import check_loggers, check_trainer

CALLBACKS = {"until": UntilSolved, "recorder": RunRecorder, "video": VideoRecorder}
"""Callbacks whose options have a section of their own, by its name."""
TOLD_APART = ("data.task", "seed_everything")
"""Options that, if given, must equal those of the checkpoint that ``last`` or ``best`` finds."""
NAMES_CODE = ("model.learner",)
"""Options that name code: only the user gives them, never a checkpoint."""


class FitCLI(LightningCLI):
    """``fit``, ``validate`` and ``test`` of a module on a data module.

    Args:
        objects: options of the trainer, by name, whose values are Python objects.
        args, options: see :class:`LightningCLI`.
    """

    checkpoint: CheckpointInfo | None = None
    """The one to continue or to evaluate."""

    def __init__(self, objects: Mapping[str, Any], *args: Any, **options: Any) -> None:
        self.objects = dict(objects)
        super().__init__(*args, **options)

    # --- what was asked for --------------------------------------------------------------------

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        known = LightningCLI.subcommands()
        return {name: known[name] for name in SUBCOMMANDS}

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--seed_everything", type=int, default=0, help="Seed of everything that is random."
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for section, callback in CALLBACKS.items():
            parser.add_lightning_class_args(callback, section)
        for target, source in LINKED.items():
            parser.link_arguments(source, target)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse twice: first for what the user gave, then with the defaults that follow from it."""
        assert isinstance(parser, FitParser) and isinstance(args, list)
        command = args[0]
        given = parser.given(args)
        option_checks.check_linked(given.get("config"))
        subparser = self._subcommand_parsers[command]
        self.checkpoint = chosen_checkpoint(given, subparser.get_default("recorder.folder"))
        accelerator = given.get("trainer.accelerator", subparser.get_default("trainer.accelerator"))
        defaults: dict[str, Any] = {"trainer.precision": default_precision(accelerator)}
        if command != "fit":
            defaults["verbose"] = False  # our own table shows the results
        if self.checkpoint is not None:  # its options become the defaults
            known = known_options(subparser)
            made_with = self.checkpoint.options
            names = (name for name in made_with if name in known and name not in NAMES_CODE)
            defaults |= {name: as_written(made_with[name]) for name in names}
            refuse_code(self.checkpoint, given)
        base = Namespace({f"{command}.{name}": value for name, value in defaults.items()})
        self.config = parser.parse_args(args, namespace=base)
        config = self.config[command]
        option_checks.check_seed(config.seed_everything)
        if self.checkpoint is not None:
            config.ckpt_path = self.checkpoint.path
            checkpoint_checks.check_task(self.checkpoint, chosen_task(config.data))
            if command == "fit":
                checkpoint_checks.check_can_continue(self.checkpoint)
            checkpoint_checks.check_options(self.checkpoint, self._asked_for(config), command)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: here a checkpoint gives defaults, and does not override the command line."""

    # --- checks, as soon as each can be made ---------------------------------------------------

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        option_checks.check_precision(config.trainer.precision)
        if self.subcommand == "fit":
            option_checks.check_limits(config.trainer)
            self._choose_run(config)
        elif not config.ckpt_path:
            raise ConfigError(f"nothing to {self.subcommand}: add --ckpt_path <file>.ckpt")

    def _choose_run(self, config: Namespace) -> None:
        """Go on with the same run, or begin a new one if its record would no longer be true."""
        if self.checkpoint is None or config.recorder.run_id:
            return
        others = changed(self.checkpoint.options, self._asked_for(config))
        if others:
            over = checkpoint_checks.what_ends(self.checkpoint, config)
            require(over is None, f"nothing is left to train: {over}")
            print(f"other options than before ({', '.join(others)}): a new run begins")
        else:
            config.recorder.run_id = self.checkpoint.run_id

    def _asked_for(self, config: Namespace) -> dict[str, Any]:
        """Present values of the options that the checkpoint was made with."""
        assert self.checkpoint is not None
        names = [name for name in self.checkpoint.options if name in config]
        return {name: as_plain(config[name]) for name in names}

    def after_instantiate_classes(self) -> None:
        if self.checkpoint is not None:
            shapes = {name: value.shape for name, value in self.model.state_dict().items()}
            checkpoint_checks.check_shapes(self.checkpoint, shapes)
            checkpoint_checks.warn_of_versions(self.checkpoint)
        recorder: RunRecorder = self._get(self.config_init, "recorder")
        before = self.checkpoint.run_id if self.checkpoint else None
        if self.checkpoint is not None and self.subcommand == "fit":
            recorder.over = checkpoint_checks.what_ends(
                self.checkpoint, self.config[self.subcommand]
            )
        if recorder.run_id != before:
            recorder.continued_from, recorder.fresh = before, recorder.run_id is not None

    def before_fit(self) -> None:
        """Check before the first env step that the run can be recorded."""
        recorder: RunRecorder = self._get(self.config_init, "recorder")
        check_writable(recorder.folder)
        require_plain(recorder.folder, "--recorder.folder")
        length = len(recorder.run_name or "")
        require(length <= 250, f"recorder.run_name has {length:,} characters: write at most 250")
        given = self._get(self.config, "recorder").tracking_uri
        check_tracking_uri(recorder.tracking_uri, named_by(given, "recorder.tracking_uri"))
        if (task := self.datamodule.task).written is not None:
            quick_check(task)
        warn_of_device(self.trainer)

    # --- building and running ------------------------------------------------------------------

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ConfigError:
            raise
        except ValueError as error:  # raised by a class that a config names
            raise ConfigError(explain(str(error), [])) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        def own(name: str) -> list[Any]:
            """What the user asked for: one, several or none."""
            written = self._get(self.config_init, "trainer")[name]
            asked = self.objects.get(name, written) or []
            return list(asked) if isinstance(asked, (list, tuple)) else [asked]

        # These go first: what they do is recorded and shown by the others.
        kwargs |= self.objects
        kwargs["callbacks"] = [LateEnd(), Throughput(), *own("callbacks")]
        if any(isinstance(callback, ProgressBar) for callback in own("callbacks")):
            self._get(self.config_init, "trainer")["enable_progress_bar"] = True
        kwargs["plugins"] = [*own("plugins"), SealedCheckpointIO()]
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (ImportError, MisconfigurationException, TypeError, ValueError) as error:
            asked = self._get(self.config_init, "trainer")["accelerator"]
            if "backend found" in str(error) or "is not available" in str(error):
                raise ConfigError(
                    f"trainer.accelerator {asked}: PyTorch finds none on this machine: "
                    "write cpu, or auto for what there is"
                ) from error
            raise ConfigError(f"trainer options: {error}") from error
        check_trainer(trainer)
        check_loggers(trainer)
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        with one_line(self._kind_of_fault):
            super()._run_subcommand(subcommand)

    def _kind_of_fault(self, message: str) -> Exception:
        """Before the first iteration, a fault is one of the config or the checkpoint."""
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(each, (Throughput, LateEnd)) and each.began for each in callbacks):
            folder = self._get(self.config_init, "recorder").checkpoint_folder
            return TrainingError(f"{message}; more in {folder}/traceback.txt")
        return cannot_begin(message)


def chosen_checkpoint(given: Namespace, default_folder: str) -> CheckpointInfo | None:
    """The checkpoint that ``--ckpt_path`` means.

    Args:
        given: options that the user gave.
        default_folder: output folder if none is given.
    """
    path = given.get("ckpt_path")
    if not path:
        return None
    if path not in KEYWORDS:
        return read_info(str(path))
    wanted = {name: as_plain(given[name]) for name in TOLD_APART if was_given(given, name)}
    return newest_checkpoint(path, given.get("recorder.folder", default_folder), wanted)


def warn_of_device(trainer: Trainer) -> None:
    """Warn if a run on this device is not reproducible, or slow."""
    device = trainer.strategy.root_device.type
    if device != "cpu":
        line = f"on {device} a run is not reproducible bit for bit, even with the same seed"
    elif is_reduced(trainer.precision) and not cpu_has_bfloat16():
        line = "this CPU has no bfloat16 instructions and emulates them, many times slower: "
        line += "use --trainer.precision 32-true"
    else:
        return
    warn(line)


def cannot_begin(message: str) -> ConfigError:
    return ConfigError(f"the command cannot start, check the options: {message}")


@contextmanager
def one_line(kind: Callable[[str], Exception]) -> Iterator[None]:
    """Turn an exception that no check foresaw into one line."""
    try:
        yield
    except (ConfigError, TrainingError):
        raise
    except Exception as error:
        raise kind(fault(error)) from error
