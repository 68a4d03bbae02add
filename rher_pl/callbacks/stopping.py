"""SIGINT and SIGTERM: the first one saves and ends the run, the second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import util
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from rher_pl.callbacks.checkpoint import Checkpoints
from rher_pl.callbacks.recording import RunRecorder, find_recorder
from rher_pl.errors import Stopped
from rher_pl.training.module import RHERModule

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def signals_stop() -> Iterator[None]:
    """SIGINT and SIGTERM raise :class:`Stopped`, before and after training too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopOnSignal(Checkpoint):
    """Finishes the iteration, saves, and raises :class:`Stopped`.

    After the last iteration of an epoch its evaluation is finished too, because the state between
    them cannot be continued exactly. If this takes more than ``patience`` seconds, or if a second
    signal arrives, the process exits at once. The checkpoint before is whole, and continuing from
    it repeats what was lost. As a subclass of ``Checkpoint`` it runs after all others; list it
    after ``Checkpoints``.
    """

    patience = 8.0

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._recorder: RunRecorder | None = None
        self._watchdog: threading.Timer | None = None
        self._before: dict[signal.Signals, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit" or threading.current_thread() is not threading.main_thread():
            return
        self._recorder = find_recorder(trainer)
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number in self._before:  # not in setup: the trainer installs its own handlers after it
            signal.signal(number, self._handle)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self.received and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, Checkpoints):
                    callback.save(trainer)
            assert isinstance(pl_module, RHERModule)
            pl_module.send(pl_module.metrics)  # its own hook would come after the callbacks'
            raise Stopped(self.received)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.received:  # saved just now by Checkpoints
            raise Stopped(self.received)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._restore()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def _restore(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            self._exit_now()
        self.received = signal.Signals(number)
        line = f"{self.received.name}: saving after this iteration; a second signal stops at once\n"
        os.write(2, line.encode())
        self._watchdog = threading.Timer(self.patience, self._exit_now)
        self._watchdog.daemon = True
        self._watchdog.start()

    def _exit_now(self) -> None:
        assert self.received is not None
        if self._recorder is not None:
            self._recorder.mark_killed(self.received.name)
        with suppress(Exception):
            util._run_finalizers(0)  # type: ignore[attr-defined]  # releases semaphores, or Python warns that they leaked
        os._exit(128 + self.received)
