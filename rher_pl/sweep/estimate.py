"""How long a sweep would take, from a few iterations of its training on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rher_pl.checkpoints.history import read_history
from rher_pl.errors import ConfigError
from rher_pl.sweep.training import ONE_THREAD, WHOLE

STARTING = 10.0
"""About how many seconds a process takes before its first env step and after its last."""


@dataclass(frozen=True)
class Speed:
    """Speed of a training on one core.

    Args:
        iteration: seconds of an iteration, its updates included.
        evaluation: seconds of an evaluation.
        env_steps: in an iteration.
    """

    iteration: float
    evaluation: float
    env_steps: float

    def training(self, epochs: int, eval_every_env_steps: int) -> float:
        """Seconds of a whole training."""
        iterations = max(1, round(eval_every_env_steps / self.env_steps))
        return STARTING + epochs * (iterations * self.iteration + self.evaluation)


def probe(settings: Mapping[str, Mapping[str, Any]], imports: Sequence[str]) -> Speed:
    """Train three iterations, an evaluation after each; the last one counts.

    Raises:
        ConfigError: if that fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "settings.yaml"
        config.write_text(yaml.safe_dump(dict(settings)))
        command = [sys.executable, "-m", "rher_pl.fit", "--config", str(config)]
        for module in imports:
            command += ["--import", module]
        command += ["--trainer.max_epochs", "3", "--data.eval_every_env_steps", "1"]
        command += [f"--data.random_episodes={settings['data']['num_envs']}"]
        command += ["--recorder.folder", folder, *WHOLE, "--until.episodes", "0"]
        command += ["--recorder.tracking_uri", f"sqlite:///{folder}/mlflow.db"]
        environment = os.environ | ONE_THREAD
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        found = list(Path(folder).glob("checkpoints/*/last.ckpt"))
        if done.returncode != 0 or not found:
            said = done.stderr.strip().splitlines() or ["a training of three iterations failed"]
            raise ConfigError(said[-1].removeprefix("error: "))
        *_, before, last = read_history(found[0])
    env_steps = last["env_steps"] - before["env_steps"]
    iteration = env_steps / last["perf/env_steps_per_second"]
    both = last["perf/seconds"] - before["perf/seconds"]  # up to the end of the last iteration
    return Speed(iteration, max(0.0, both - iteration), env_steps)
