"""A short video of the policy, and a still, beside the run in MLflow."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn
from PIL import Image

from rher_pl.callbacks.recording import find_recorder
from rher_pl.errors import require, warn
from rher_pl.pictures.acting import TaskPolicy
from rher_pl.pictures.playback import play
from rher_pl.pictures.rendering import working_backend
from rher_pl.pictures.scenes import Scene, has_camera, make_scene
from rher_pl.pictures.video import encode, one_after_another, strip
from rher_pl.tasks import Task
from rher_pl.training.datamodule import EVALUATION_SEED
from rher_pl.training.module import RHERModule

SIZE = (256, 192)
STILL_FRAMES = 5


class VideoRecorder(pl.Callback):
    """Records the policy after some evaluations, and at the end of a run.

    The episodes have the first evaluation seeds and are played in an environment of their own, so
    that training is not affected. Where rendering does not work, or the task has no simulator, the
    pictures are plans from above. The time this takes is recorded as ``perf/video_seconds``.

    Args:
        every_evaluations: evaluations between two videos; 0 records none at all, also at the end.
        episodes: number of episodes in a video.

    Raises:
        ConfigError: for an argument out of its range.
    """

    def __init__(self, every_evaluations: int = 20, episodes: int = 1) -> None:
        require(
            every_evaluations >= 0, f"every_evaluations must be at least 0, got {every_evaluations}"
        )
        require(episodes >= 1, f"episodes must be at least 1, got {episodes}")
        self.every_evaluations = every_evaluations
        self.episodes = episodes
        self.seconds = 0.0
        self.evaluations = 0
        self._recorded_at = -1
        self._scene: Scene | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        self.evaluations += 1
        if self.every_evaluations and self.evaluations % self.every_evaluations == 0:
            self._record(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.every_evaluations:
            self._record(trainer, pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._scene is not None:
            self._scene.close()
            self._scene = None

    def _record(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Record a video, unless there is one already; a fault ends recording, not the run."""
        assert isinstance(module, RHERModule)
        recorder = find_recorder(trainer)
        if recorder is None or recorder.run is None or self._recorded_at == module.env_steps:
            return
        begin = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as folder:
                # Not in inference mode, whose tensors cannot be changed later: the scene is kept.
                with torch.inference_mode(False):
                    files = self._render(module, Path(folder))
                for file in files:
                    recorder.run.log_file(file, "video")
        except Exception as error:  # rendering or a codec may raise anything
            self.every_evaluations = 0
            reason = str(error).partition("\n")[0]
            warn(f"no more videos in this run: {reason}")
            return
        self._recorded_at = module.env_steps
        self.seconds += time.perf_counter() - begin
        cost = {"perf/video_seconds": self.seconds}
        recorder.record(cost, module.env_steps)
        module.send(cost)

    def _render(self, module: RHERModule, folder: Path) -> list[Path]:
        """Play, draw and write; returns the files, named by env steps so that they sort."""
        if self._scene is None:
            self._scene = self._make_scene(module.task)
        title = f"{module.env_steps:,} env steps  "
        playbacks = [
            play(self._scene, TaskPolicy(module.evaluated_policy), module.relay, seed, title)
            for seed in range(EVALUATION_SEED, EVALUATION_SEED + self.episodes)
        ]
        video, still = (folder / f"{module.env_steps:09d}{end}" for end in (".mp4", ".png"))
        encode(one_after_another(playbacks), video)
        Image.fromarray(strip(playbacks[0].frames, STILL_FRAMES)).save(still)
        return [video, still]

    @staticmethod
    def _make_scene(task: Task) -> Scene:
        drawn = task.make_drawn or (has_camera(task) and working_backend() is not None)
        return make_scene(task, "camera" if drawn else "top", SIZE)

    def state_dict(self) -> dict[str, Any]:
        return {"evaluations": self.evaluations, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.evaluations, self.seconds = state_dict["evaluations"], state_dict["seconds"]
