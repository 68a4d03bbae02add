"""Descriptions on MLflow's pages: a run's result, a task's latest run, where things are."""

from __future__ import annotations

import json
from collections.abc import Mapping

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from tensordict import TensorDictBase

from rher_pl.callbacks.recording import find_run
from rher_pl.callbacks.summary import run_facts
from rher_pl.errors import Stopped
from rher_pl.evaluation.report import interval_text, report, report_markdown, share_text
from rher_pl.evaluation.statistics import value_statistics
from rher_pl.tracking.ui import VIEW, runs_page
from rher_pl.training.module import RHERModule

NOTE = "mlflow.note.content"
"""The tag that MLflow shows as a run's description, in Markdown."""
COLUMNS = (
    "metrics.`eval/success`",
    "metrics.`perf/seconds`",
    "tags.`algorithm`",
    "tags.`seed`",
    "attributes.`Duration`",
)
CHARTS = ("eval", "eval/success", "relay", "train", "perf")
"""Sections of MLflow's charts, with two charts in a row: titles do not fit with three."""

PLACES = """\
Where things are:

- pictures of the curves: tab Artifacts, `figures/`
- the policy at work: tab Artifacts, `video/`, where the task can be rendered
- interactive curves: tab Model metrics, `eval/`, `relay/`, `train/`, `perf/`, against env steps
- every option and version: tab Artifacts, `config.yaml` and `versions.json`
- checkpoints, copied there at the end: tab Artifacts, `checkpoints/`
"""


class RunDescription(pl.Callback):
    """Keeps the description of the recorded run, and of its experiment, up to date.

    That of a run which is continued stays until it is evaluated again.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if (run := find_run(trainer)) and not run.stored:
            latest = f"Running: {run.name}, not evaluated yet"
            run.set_experiment_tags(experiment_tags(run.experiment_id, latest))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._write(trainer, pl_module, "running")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer, pl_module, "finished")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        stopped = isinstance(exception, (KeyboardInterrupt, Stopped))
        self._write(trainer, pl_module, "stopped" if stopped else f"failed: {exception}")

    def _write(self, trainer: pl.Trainer, module: pl.LightningModule, state: str) -> None:
        assert isinstance(module, RHERModule)
        run = find_run(trainer)
        if run and (module.evaluations or not run.stored):
            facts = dict(run_facts(trainer, module))
            text = describe(module.task.name, state, facts, module.evaluations)
            run.set_tags({NOTE: f"{text}\n{PLACES}\n{picture(run.run_id)}"})
            if module.evaluations:
                *_, last = report(module.evaluations).values()
                latest = f"Latest: success {share_text(last['all'])}, {run.name}"
                if state != "finished":
                    latest += f", {state.partition(':')[0]}"
                run.set_experiment_tags({NOTE: experiment_note(run.experiment_id, latest)})


def experiment_tags(experiment_id: str, latest: str) -> dict[str, str]:
    """How MLflow shows an experiment: its kind, its description, and our columns and curves.

    Args:
        experiment_id: of the experiment.
        latest: the result of its latest run, in one line.
    """
    charts = [
        {"uuid": name, "name": name, "display": True, "isReordered": False, "columns": 2}
        for name in CHARTS
    ]
    view = {
        "selectedColumns": COLUMNS,
        "compareRunCharts": [],  # MLflow adds one for each metric
        "compareRunSections": charts,
        "isAccordionReordered": True,  # else MLflow sorts the sections
    }
    return {
        NOTE: experiment_note(experiment_id, latest),
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
    }


def experiment_note(experiment_id: str, latest: str) -> str:
    """The description of an experiment; MLflow shows its first line above every list of runs."""
    page = runs_page(experiment_id)
    return (
        f"{latest} · [list with success]({page}) · [curves]({page}&compareRunsMode=CHART)"
        "\n\nFilters: "
        "`tags.algorithm = 'td3' and tags.seed = '0' and attributes.status = 'FINISHED'`"
    )


def describe(
    task: str,
    state: str,
    facts: Mapping[str, str],
    results: Mapping[str, TensorDictBase],
) -> str:
    """Result and cost of a run, in Markdown.

    Args:
        task: its name.
        state: such as ``finished``.
        facts: as from :func:`rher_pl.callbacks.summary.run_facts`.
        results: the latest evaluation by subtask, the task itself last; empty before the first one.
    """
    cost = f"{facts['env steps']} env steps, {facts['updates']} updates"
    cost += f", {facts['wall-clock']}" if "wall-clock" in facts else ""
    if not results:
        return f"**{task}** · {state} after {cost}, not evaluated yet\n"
    subtasks = report(results)
    *_, last = subtasks.values()
    fresh = last["not_solved_at_reset"]
    success = "-" if fresh["success"] is None else f"{fresh['success']:.3f}"
    lines = [
        f"**{task}: success {success}**, 95% interval {interval_text(fresh)} ({fresh['solved']} of "
        f"{fresh['episodes']} episodes that did not start solved) · {state} after {cost}",
        "",
        report_markdown(subtasks),
    ]
    for name, result in results.items():
        touched = result["contact"].float().mean().item()
        line = f"- {name}: object touched in {touched:.0%} of episodes"
        if f"eval/q/{name}" in (figures := value_statistics(name, result)):
            q, value = (figures[f"eval/{key}/{name}"] for key in ("q", "monte_carlo_return"))
            line += f"; from its first turn on, Q {q:.2f} against a return of {value:.2f}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def picture(run_id: str) -> str:
    """Markdown of the overview picture, which the server of the page provides."""
    return f"![overview](get-artifact?path=figures%2Foverview.png&run_uuid={run_id})"
