"""One seed of a learning benchmark: train, and record every evaluation.

Started by ``benchmarks.learning``, one process per seed, so that a seed has a thread and a random
state of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from benchmarks.learning_settings import build
from benchmarks.records import KEYS, Record, Records
from rher_pl.checkpoints.file import SealedCheckpointIO, read_checkpoint_file
from rher_pl.errors import ConfigError
from rher_pl.tracking.provenance import commit_label, versions
from rher_pl.training.datamodule import RelayDataModule


def can_resume(checkpoint: Path) -> bool:
    """Whether a run continued from this file would be the run that was interrupted.

    It must load, and it must hold the loader's state: without replay content and random states,
    weights and counters alone continue a different run.
    """
    try:
        return bool(read_checkpoint_file(checkpoint).get(RelayDataModule.__name__))
    except ConfigError:  # missing, cut short, another program's: every reason means "no"
        return False


class Recorder(pl.Callback):
    """Writes a record after each evaluation, then a checkpoint; ends the run at its budget.

    Args:
        records: file of the benchmark.
        name: of the benchmark.
        seed: of this run.
        budget: env steps at which to stop.
        checkpoint: where the last state is kept.
        seconds: wall-clock already spent on this seed before it was resumed.
    """

    def __init__(
        self, records: Records, name: str, seed: int, budget: int, checkpoint: Path, seconds: float
    ) -> None:
        self.records, self.name, self.seed, self.budget = records, name, seed, budget
        self.checkpoint, self.start = checkpoint, time.perf_counter() - seconds
        self.labels = {"versions": versions(), "commit": commit_label()}
        self.sums: dict[str, list[float]] = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        for key, value in pl_module.metrics.items():
            self.sums.setdefault(key, []).append(float(value))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        record = self.record(pl_module)
        self.records.append(record)
        print(json.dumps(record), flush=True)

    def record(self, module: Any) -> Record:
        """One line; metrics of training are means over the iterations since the last one."""
        means = {key: sum(values) / len(values) for key, values in self.sums.items()}
        self.sums = {}
        evaluation = {key: float(value) for key, value in module.metrics_eval.items()}
        values = (
            self.name,
            module.hparams["task"],
            self.seed,
            module.env_steps,
            module.updates,
            round(time.perf_counter() - self.start, 1),
            _short(evaluation["eval/success"]),
            _short(evaluation["eval/success_not_solved_at_reset"]),
            {n: _short(evaluation[f"eval/success/{n}"]) for n in module.relay.names},
            self.labels["versions"],
            self.labels["commit"],
            {key: _short(value) for key, value in sorted((means | evaluation).items())},
        )
        return dict(zip(KEYS, values, strict=True))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.checkpoint, weights_only=False)
        trainer.should_stop = int(pl_module.env_steps) >= self.budget  # type: ignore[arg-type]


def _short(value: float) -> float | None:
    """Four significant digits; JSON has no NaN or infinity, null stands for them."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--config", "--name", "--seed", "--env_steps", "--records", "--checkpoint"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    records, checkpoint = Records(Path(options.records)), Path(options.checkpoint)
    seed, budget = int(options.seed), int(options.env_steps)
    resume = checkpoint if checkpoint.exists() else None
    last = records.read(seed)
    spent = last[-1]["seconds"] if resume and last else 0.0
    cli = build(["--config", options.config], seed)
    recorder = Recorder(records, options.name, seed, budget, checkpoint, spent)
    trainer: Any = cli.trainer
    trainer.strategy.checkpoint_io = SealedCheckpointIO()
    trainer.callbacks.append(recorder)
    trainer.fit(cli.model, cli.datamodule, ckpt_path=resume, weights_only=True)


if __name__ == "__main__":
    main()
