"""The card of a policy on the Hugging Face Hub: a header that the Hub reads, and how to use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from rher_pl.deploy.card import card_of
from rher_pl.deploy.usage import episode, fenced
from rher_pl.evaluation.report import Row, interval_text
from rher_pl.tasks import Task

if TYPE_CHECKING:
    from rher_pl.deploy.trained import TrainedPolicy

TAGS = (
    "reinforcement-learning",
    "robotics",
    "hindsight-experience-replay",
    "relay-hindsight-experience-replay",
    "rher_pl",
)
ALL, FRESH = "success", "success_not_solved_at_reset"
"""Names of the two metrics, as a run has them."""


def hub_card(
    trained: TrainedPolicy,
    figures: Mapping[str, Any],
    versions: Mapping[str, str],
    address: str,
    license_name: str | None,
) -> str:
    """A card in Markdown, with the header that makes the Hub show task and success.

    Args:
        trained: whose policy it is; its task must be known here.
        figures: as ``measure`` gives them.
        versions: by package, of those that made the figures.
        address: as ``load_policy`` takes it.
        license_name: such as ``mit``; None states none.
    """
    task = trained.task
    header = make_header(task, figures, address, license_name)
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n\n{card_of(trained, figures, versions, _use(task, address))}"


def _use(task: Task, address: str) -> str:
    """How to use the policy, in Markdown."""
    needs = "`rher_pl` loads it, installed with its extra `hub`.\n\n"
    if task.written is not None:
        return needs + _of_described(task, task.written["init_args"], address)
    if task.gymnasium_id is not None:
        return needs + episode(address, task)
    program = (
        f'from rher_pl import load_policy\n\nload_policy("{address}").evaluate(episodes=100)\n'
    )
    return f"{needs}Its task `{task.name}` must be registered first:\n\n{fenced(program)}"


def make_header(
    task: Task, figures: Mapping[str, Any], address: str, license_name: str | None
) -> dict[str, Any]:
    """What the Hub reads: tags, and the figures with the environment in place of a data set."""
    *_, groups = figures["subtasks"].values()
    environment = task.gymnasium_id or task.name
    metrics = [_metric(ALL, groups["all"], figures)]
    if groups["not_solved_at_reset"]["episodes"]:
        metrics.append(_metric(FRESH, groups["not_solved_at_reset"], figures))
    result = {
        "task": {"type": "reinforcement-learning", "name": "reinforcement learning"},
        "dataset": {"name": environment, "type": environment},
        "metrics": metrics,
    }
    return {
        "library_name": "rher_pl",
        "pipeline_tag": "reinforcement-learning",
        **({"license": license_name} if license_name else {}),
        "tags": [*TAGS, environment],
        "model-index": [{"name": address.rpartition("/")[2], "results": [result]}],
    }


def _metric(name: str, row: Row, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": name,
        "value": row["success"],
        "name": f"{name}, 95% Wilson interval {interval_text(row)}",
        "args": {
            "episodes": row["episodes"],
            "solved": row["solved"],
            "interval_95": row["interval_95"],
            "first_seed": figures["first_seed"],
        },
    }


def _of_described(task: Task, options: Mapping[str, Any], address: str) -> str:
    """What the environment of a ``GymnasiumTask`` needs, and an episode in it."""
    packages = [*dict.fromkeys(_packages(options))]
    imports = "".join(f" --import {name}" for name in _modules(options))
    needs = f" It needs {', '.join(f'`{name}`' for name in packages)}." if packages else ""
    program = "".join(f"{line}\n" for line in _program(options, address))
    return (
        f"It acts in `{task.name}`, an environment of Gymnasium, made as follows.{needs}\n\n"
        f"{fenced(program)}\nThe file describes it, too:\n\n"
        f"```sh\nrher-pl evaluate --pretrained {address}{imports}\n```\n"
    )


def _modules(options: Mapping[str, Any]) -> list[str]:
    from rher_pl.gymnasium_task import GymnasiumTask

    return GymnasiumTask(**options).modules


def _packages(options: Mapping[str, Any]) -> Iterator[str]:
    """Packages that must be installed besides this one and Gymnasium."""
    from rher_pl.envs.gymnasium_make import find_spec

    entry = find_spec(options["id"]).entry_point
    module = entry.partition(":")[0] if isinstance(entry, str) else entry.__module__
    for name in (*_modules(options), module):
        if (package := name.partition(".")[0]) not in ("gymnasium", "rher_pl"):
            yield package


def _program(options: Mapping[str, Any], address: str) -> Iterator[str]:
    """Lines of Python that make the environment as training did, and play an episode."""
    from rher_pl.envs.gymnasium_make import find_spec

    wrappers = [path.replace(":", ".") for path in options["wrappers"]]
    modules = [path.rpartition(".")[0] for path in wrappers]
    steps = options["max_episode_steps"]
    limit = {"max_episode_steps": steps} if steps else {}
    given = "".join(f", {key}={value!r}" for key, value in (options["make_kwargs"] | limit).items())
    scene = options["reset_options"]
    yield "import gymnasium as gym"
    supplier, _, _ = options["id"].rpartition(":")
    imported = dict.fromkeys([*_packages(options), supplier, *modules])
    yield from (f"import {name}" for name in imported if name)
    yield "from rher_pl import load_policy"
    yield ""
    yield f'policy, env = load_policy("{address}"), gym.make("{options["id"]}"{given})'
    yield from (f"env = {path}(env)" for path in wrappers)
    yield f"observation, _ = env.reset(seed=0{f', options={scene!r}' if scene else ''})"
    yield f"for _ in range({steps or find_spec(options['id']).max_episode_steps}):"
    yield "    observation, reward, terminated, truncated, info = env.step(policy(observation))"
    yield "    if terminated or truncated:"
    yield "        break"
