"""The card of a trained policy: what it does, how well, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping

from rher_pl.evaluation.report import Row, report_markdown, share_text
from rher_pl.tasks import get_task, known_tasks

USE = """\
```python
import gymnasium as gym, gymnasium_robotics
from rher_pl import load_policy

policy, env = load_policy("{name}"), gym.make("{task}")
observation, _ = env.reset(seed=0)
for _ in range({steps}):
    observation, reward, _, _, info = env.step(policy(observation))
```
"""


def lengths(sizes: Mapping[str, int]) -> str:
    """Such as ``observation [N, 25]``, in Markdown."""
    return ", ".join(f"`{name}` [N, {size}]" for name, size in sizes.items())


def make_card(
    task: str,
    sizes: Mapping[str, int],
    actions: int,
    counters: Mapping[str, int],
    subtasks: Mapping[str, Row],
    episodes: str,
    versions: Mapping[str, str],
    name: str | None = None,
) -> str:
    """A card in Markdown.

    Args:
        task: name of the task.
        sizes: length of each input, by name.
        actions: numbers in an action.
        counters: ``env_steps``, ``episodes`` and ``updates`` of training.
        subtasks: figures by subtask, the task itself last; see ``report.py``.
        episodes: which episodes the figures are of, for example their seeds.
        versions: by package, of what made the figures.
        name: of the policy, if it comes with the package; adds how to use it.
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
        f"is an action [N, {actions}] as the environment takes it. `load_policy` and the MLflow "
        "model refuse anything else; ONNX, TorchScript and torch.export files do not look at the "
        "numbers. It knows this task only, in simulation.",
        "",
        "Versions: " + ", ".join(f"{key} {value}" for key, value in versions.items()) + ".",
    ]
    text = "\n".join(lines) + "\n"
    # Of a task that a config described, the card does not tell how it is made.
    known_as = get_task(task).gymnasium_id if task in known_tasks() else None
    return text + "\n" + _use(name, known_as) if name and known_as else text


def _use(name: str, gymnasium_id: str) -> str:
    """How a shipped policy plays an episode in Gymnasium."""
    import gymnasium

    from rher_pl.envs import fetch_sim  # noqa: F401 registers the environments

    steps = gymnasium.spec(gymnasium_id).max_episode_steps
    return USE.format(name=name, task=gymnasium_id, steps=steps)
