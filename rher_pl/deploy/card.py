"""The card of a trained policy: what it does, how well, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rher_pl.evaluation import FIRST_SEED
from rher_pl.evaluation.report import Row, report_markdown, share_text
from rher_pl.tasks import get_task, known_tasks

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy


def lengths(sizes: Mapping[str, int]) -> str:
    """Such as ``observation [N, 25]``, in Markdown."""
    return ", ".join(f"`{name}` [N, {size}]" for name, size in sizes.items())


def card_of(
    trained: TrainedPolicy, figures: Mapping[str, Any], versions: Mapping[str, str], use: str
) -> str:
    """A card in Markdown of a policy that was evaluated.

    Args:
        trained: whose policy it is.
        figures: as ``measure`` gives them, of seeds that were used neither to train nor to select.
        versions: by package, of those that made the figures.
        use: how to use it, in Markdown; see ``usage.py``.
    """
    first = figures["first_seed"]
    unseen = ", none of which was used to train or to select" if first >= FIRST_SEED else ""
    return make_card(
        trained.task_name,
        trained.portable.sizes,
        trained.portable.action_size,
        trained.counters,
        figures["subtasks"],
        f"seeds {first:,} to {first + figures['episodes'] - 1:,}{unseen}",
        versions,
        use,
    )


def make_card(
    task: str,
    sizes: Mapping[str, int],
    actions: int,
    counters: Mapping[str, int],
    subtasks: Mapping[str, Row],
    episodes: str,
    versions: Mapping[str, str],
    use: str = "",
) -> str:
    """A card in Markdown.

    Args:
        task: name of the task.
        sizes: length of each input, by name.
        actions: numbers in an action.
        counters: ``env_steps``, ``episodes`` and ``updates`` of training.
        subtasks: figures by subtask, the task itself last; see ``report.py``.
        episodes: which episodes the figures are of, for example their seeds.
        versions: by package, of those that made the figures.
        use: how to use it, in Markdown; see ``usage.py``.
    """
    last = list(subtasks)[-1]
    fresh, every = subtasks[last]["not_solved_at_reset"], subtasks[last]["all"]
    lines = [
        f"# Policy for {task}",
        "",
        f"Trained with Relay Hindsight Experience Replay for {counters['env_steps']:,} env steps "
        f"({counters['episodes']:,} episodes, {counters['updates']:,} updates).",
        "",
        f"Success over {fresh['episodes']} episodes that did not start solved: "
        f"**{share_text(fresh)}**; over all {every['episodes']}: {share_text(every)}. "
        f"Noise-free, {episodes}. Every subtask is judged in the same episodes:",
        "",
        report_markdown(subtasks),
        f"Inputs, as Gymnasium gives them, all finite: {lengths(sizes)}, for N states; the output "
        f"is an action [N, {actions}] as the environment takes it.{_moves(task)} `load_policy` and "
        "the MLflow model refuse anything else; ONNX, TorchScript and torch.export files take "
        "float64 and do not check their inputs. It was trained for this task only, in simulation.",
        "",
        "Versions: " + ", ".join(f"{key} {value}" for key, value in versions.items()) + ".",
    ]
    return "\n".join(lines) + "\n" + (f"\n{use}" if use else "")


def _moves(task: str) -> str:
    """What the numbers of an action do, if the task is known and says so."""
    says = get_task(task).actions if task in known_tasks() else ""
    return f" {says}" if says else ""
