"""Whether a task can be learned, judged from random episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tensordict import TensorDict
from torch import Tensor

from rher_pl.cli.checks.finding import Finding, Level
from rher_pl.cli.checks.playing import SEED, play, reproduces, states
from rher_pl.envs.checks import STATE_KEYS
from rher_pl.envs.contract import Ending
from rher_pl.envs.episodes import ends
from rher_pl.envs.gymnasium_reward import OwnReward
from rher_pl.errors import ConfigError, TrainingError, warn
from rher_pl.evaluation.judging import objects_moved
from rher_pl.gymnasium_task import GymnasiumTask
from rher_pl.relay import Relay
from rher_pl.tasks import Task, make_env

FEW_MOVED, MANY_SOLVED = 0.02, 0.5
"""Shares of random episodes: a task is doubtful if fewer move an object or more begin solved."""
DIFFERING = 0.01
"""Share of nearby goals on which epsilon and ``compute_reward`` may differ by rounding."""
QUICK_EPISODES, QUICK_STEPS = 2, 50
"""Episodes, and env steps of each, that are played before a run."""


def findings(task: Task, frames: TensorDict) -> Iterator[Finding]:
    """What random episodes [N, T] of a task show."""
    relay, achieved = task.relay, states(frames, "achieved_goals").float()
    yield _sizes(task, frames)
    yield _ends(frames)
    if relay.reach:
        yield _gripper(achieved)
    yield _moved(objects_moved(achieved, relay).float().mean().item(), relay)
    yield _solved_at_reset(_solved(relay, frames)[:, 0].float().mean().item())


def _solved(relay: Relay, frames: TensorDict) -> Tensor:
    """Whether each state is solved, as the environment says if it does, [N, T+1] bool."""
    if "is_success" in frames.keys():
        return states(frames, "is_success").squeeze(-1)
    achieved, desired = (states(frames, key).float() for key in STATE_KEYS[1:])
    return relay.met(relay.goals(achieved, desired, relay.last), achieved, relay.last)


def _sizes(task: Task, frames: TensorDict) -> Finding:
    actions, bounds = task.action_size, task.interface.low if task.interface else ()
    own = f", scaled to [{min(bounds):g}, {max(task.interface.high):g}]" if bounds else ""  # type: ignore[union-attr]
    return Finding(
        "sizes",
        Level.OK,
        f"observation {frames['observation'].shape[-1]} of {frames['observation'].dtype}, "
        f"{task.relay.num_points} points, {task.relay.num_desired} goals; actions {actions} in "
        f"[-1, 1]{own}; {frames.shape[1]} env steps; subtasks {', '.join(task.relay.names)}",
    )


def _ends(frames: TensorDict) -> Finding:
    length, ending = ends(frames["next"])
    counts = {
        name: int((ending == member).sum()) for name, member in Ending.__members__.items() if member
    }
    told = ", ".join(f"{name.lower()} {count}" for name, count in counts.items())
    detail = f"of {len(frames)} random episodes: {told}; {float(length.float().mean()):.0f} steps"
    if counts["FAILURE"] > len(frames) / 2:
        fix = "most episodes end early in failure: check what ends them"
        return Finding("ends", Level.SLOW, detail, fix)
    return Finding("ends", Level.OK, detail)


def _gripper(achieved: Tensor) -> Finding:
    moves = (achieved[:, :, 0] != achieved[:, :1, 0]).flatten(1).any(1)
    if moves.all():
        return Finding("gripper", Level.OK, "moves with the actions")
    return Finding(
        "gripper",
        Level.BROKEN,
        f"stays where it is in {int((~moves).sum())} of {len(moves)} random episodes",
        "write the columns of its position in gripper",
    )


def _moved(share: float, relay: Relay) -> Finding:
    detail = f"{share:.0%} of random episodes move an object"
    if share >= FEW_MOVED:
        return Finding("contact", Level.OK, detail)
    fix = "start objects closer, or allow larger actions"
    if relay.reach:
        return Finding("contact", Level.OK, f"{detail}; reaching them is learned first")
    return Finding("contact", Level.SLOW, f"{detail}: hindsight teaches nothing", fix)


def _solved_at_reset(share: float) -> Finding:
    detail = f"{share:.0%} of episodes begin solved"
    if share <= MANY_SOLVED:
        return Finding("start", Level.OK, detail)
    level = Level.BROKEN if share == 1.0 else Level.SLOW
    return Finding("start", level, detail, "choose a smaller epsilon, or goals further away")


def rewards(choice: GymnasiumTask, task: Task) -> Finding:
    """Compare the environment's own reward with the task's epsilon."""
    if isinstance(getattr(task.relay, "reward", None), OwnReward):
        how = "whole batches at once" if task.relay.reward.batched else "one goal at a time, slower"  # type: ignore[attr-defined]
        return Finding("reward", Level.OK, f"the environment's own compute_reward, {how}")
    try:
        differ = choice.compared(task.relay)
    except ConfigError as error:
        detail = f"training uses epsilon {task.relay.epsilon:g} only: {error}"
        return Finding("reward", Level.OK, detail)
    share = differ.only_relay + differ.only_own
    epsilon = f"epsilon {task.relay.epsilon:g}"
    detail = f"{epsilon} and compute_reward agree on {1 - share:.1%} of goals nearby"
    if share <= DIFFERING:
        return Finding("reward", Level.OK, detail)
    which = "epsilon" if differ.only_relay > differ.only_own else "the environment"
    return Finding(
        "reward",
        Level.SLOW,
        f"{detail}; {which} accepts goals that the other does not",
        "training uses epsilon, evaluation the environment's own success: leave epsilon out, or "
        "choose a smaller one",
    )


def checked(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings; a fault of the environment is one, too."""
    try:
        yield from look()
    except (ConfigError, TrainingError) as error:
        yield Finding("environment", Level.BROKEN, str(error))


def quick_check(task: Task, count: int = QUICK_EPISODES) -> None:
    """Check, in about a second, a task that a config describes, before a run.

    Raises:
        ConfigError: if nothing can be learned from it; what is only doubtful is a warning.
    """

    def look() -> Iterator[Finding]:
        env = make_env(task, count, SEED)
        env.max_episode_steps = min(env.max_episode_steps, QUICK_STEPS)
        try:
            frames = play(env, SEED)
            yield from findings(task, frames)
            yield reproduces(env, frames)
        finally:
            env.close()

    for found in checked(look):
        line = f"{found.name}: {found.detail}{': ' * bool(found.fix)}{found.fix}"
        if found.level == Level.BROKEN:
            raise ConfigError(f"task {task.name}: {line}")
        if found.level == Level.SLOW:
            warn(f"task {task.name}: {line}")
