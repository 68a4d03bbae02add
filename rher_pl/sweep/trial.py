"""A trial as Ray Tune sees it: each step waits for the next evaluation of its training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ray import tune

from rher_pl.checkpoints.history import Row
from rher_pl.sweep.place import Place, Trial
from rher_pl.sweep.runs import child_run, fail_child
from rher_pl.sweep.training import Training

METRIC, EVALUATIONS, FAILED = "success", "evaluations", "failed"
"""Keys of a result: mean of the last five evaluations, how many there are, what went wrong."""
WINDOW = 5
POLL_SECONDS = 0.3
SIGNALLED = 128
"""Exit statuses from here on, and negative ones, mean that a signal ended the process."""


class SweepTrial(tune.Trainable):
    """A trial without state in Ray: wherever it is restarted, it continues from its checkpoint.

    Earlier evaluations are reported again with their numbers, so that a scheduler knows them.
    """

    def setup(self, config: dict[str, Any]) -> None:
        place: Place = config["place"]
        trial = as_trial(config["trial"], self.trial_id if config["is_search"] else "")
        self.training = Training(place, trial, child_run(place, trial))
        self.told = 0
        self.whole = self.training.is_complete
        if not self.whole:
            self.training.begin()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Let the same process take the next trial."""
        self.cleanup()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Wait for an evaluation.

        Raises:
            RuntimeError: if a signal ended the training, so that Tune starts it again.
        """
        while True:
            status = 0 if self.whole else self.training.ended()
            rows = self.training.rows()  # after the status: nothing is added once it has ended
            whole = status == 0 and self.told + 1 >= len(rows)
            if self.told < len(rows) and (whole or self.told + 1 < self.training.place.epochs):
                self.told += 1
                return result(rows[: self.told], whole)
            if status is not None and self.told >= len(rows):
                return self._failed(status)
            if status not in (None, 0):
                return self._failed(status)
            time.sleep(POLL_SECONDS)

    def _failed(self, status: int) -> dict[str, Any]:
        """The result of a training that failed by itself: trying again would fail the same way."""
        if status < 0 or status >= SIGNALLED:
            raise RuntimeError(f"the training was ended from outside (status {status})")
        reason = self.training.reason()
        fail_child(self.training.place, self.training.run_id, reason)
        return {METRIC: 0.0, EVALUATIONS: self.told + 1, FAILED: reason, "done": True}

    def cleanup(self) -> None:
        self.training.stop()


def result(rows: list[Row], done: bool) -> dict[str, Any]:
    """What Tune is told of the last evaluation in ``rows``."""
    last = [row["eval/success"] for row in rows[-WINDOW:]]
    return {
        METRIC: sum(last) / len(last),
        EVALUATIONS: len(rows),
        "env_steps": int(rows[-1]["env_steps"]),
        "done": done,
    }


def as_trial(config: Mapping[str, Any], number: str = "") -> Trial:
    """The trial of a configuration of Tune; ``number`` is that of a search's proposal."""
    options = {name: str(value) for name, value in config["options"].items()}
    return Trial(options, config["seed"], number)
