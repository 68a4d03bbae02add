"""Env steps per second: Gymnasium, TorchRL's wrapper, ours, and the floor under all of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict
from torchrl.envs import EnvBase, GymEnv

from benchmarks.throughput.rounds import Contestant, Rate, interleave
from rher_pl.envs.fetch import SHIPPED, TASKS, FetchEnv
from rher_pl.gymnasium_task import GymnasiumTask
from rher_pl.tasks import get_task

Actions = NDArray[np.float32]


def measure_environments(
    task: str, num_envs: Sequence[int], threads: Sequence[int], rounds: int
) -> dict[str, Rate]:
    """Whole episodes of random actions, resets included; ours as ``ours_<envs>x<threads>``.

    ``envpool_<envs>x<threads>`` is there if envpool is installed and has the task.
    ``gymnasium_task`` is the largest of these batches, by the adapter for users' environments.
    ``floor`` is MuJoCo alone on one thread; ``floor_x<threads>`` is the best that more can give.

    Args:
        task: a Fetch id of Gymnasium.
        num_envs: batch sizes of ours; the largest is also how many simulations the floor has.
        threads: of ours.
        rounds: timed rounds, in each of which a contestant plays an episode in each environment.
    """
    length = gymnasium.spec(task).max_episode_steps
    assert length is not None
    most = max(num_envs)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (length, most, 4)).astype(np.float32)
    contestants: dict[str, Contestant] = {
        "gym_make": _gym_make(task, actions),
        "torchrl_gymenv": _torchrl(GymEnv(task), actions[:, 0]),
        "floor": physics_alone(task, actions, 1),
    }
    contestants |= {f"floor_x{count}": physics_alone(task, actions, count) for count in threads[1:]}
    if find_spec("envpool") is not None and task in SHIPPED:
        pools = {f"envpool_{most}x{count}": _envpool(task, actions, count) for count in threads}
        contestants |= pools
    envs: dict[str, EnvBase] = {
        f"ours_{n}x{t}": FetchEnv(task, n, num_threads=t) for n in num_envs for t in threads
    }
    if task in SHIPPED:
        envs["gymnasium_task"] = _adapted(task, most)
    for name, env in envs.items():
        contestants[name] = _torchrl(env, actions[:, : env.batch_size.numel()])
    rates = interleave(contestants, rounds)
    for env in envs.values():
        env.close()
    return rates


def measure_tasks(num_envs: int, rounds: int) -> dict[str, dict[str, Rate]]:
    """Every Fetch task on one thread, by its Gymnasium id: ``ours_<envs>x1`` and the others."""
    return {task: measure_environments(task, (num_envs,), (1,), rounds) for task in TASKS}


def _adapted(task: str, count: int) -> EnvBase:
    relay = get_task(task).relay
    gripper = [0, 1, 2] if relay.reach else None
    adapted = GymnasiumTask(task, objects=list(relay.objects), gripper=gripper)
    return adapted.task().make_env(count, 0)


def _gym_make(task: str, actions: Actions) -> Contestant:
    env = gymnasium.make(task)

    def episode() -> int:
        env.reset()
        for action in actions[:, 0]:
            env.step(action)
        return len(actions)

    return episode


def _envpool(task: str, actions: Actions, threads: int) -> Contestant:
    """envpool's own simulation of the task in C++; it resets by itself when an episode ends."""
    import envpool

    moves = actions.astype(np.float64)
    env = envpool.make(
        task, env_type="gymnasium", num_envs=actions.shape[1], num_threads=threads, seed=0
    )

    def episode() -> int:
        env.reset()
        for action in moves:
            env.step(action)
        return len(moves) * moves.shape[1]

    return episode


def _torchrl(env: EnvBase, actions: Actions) -> Contestant:
    """Plays an episode in each environment of the batch, with actions [T, *batch, A]."""
    steps = torch.from_numpy(np.ascontiguousarray(actions)).unbind(0)

    def episode() -> int:
        env.reset()
        for action in steps:
            env.step(TensorDict({"action": action}, env.batch_size))
        return len(steps) * max(env.batch_size.numel(), 1)

    return episode


def physics_alone(task: str, actions: Actions, threads: int) -> Contestant:
    """What every stepper must do: reset, set the control, 20 substeps. Nothing is observed.

    Each thread has its share of the simulations from the first step to the last.
    """
    template: Any = gymnasium.make(task).unwrapped
    model, substeps = template.model, template.n_substeps
    simulations = [mujoco.MjData(model) for _ in range(actions.shape[1])]
    first, second = int(model.eq_obj1id[0]), int(model.eq_obj2id[0])
    body = second if model.body_mocapid[first] >= 0 else first
    views = [
        (data, data.mocap_pos[0], data.mocap_quat[0], data.xpos[body], data.xquat[body])
        for data in simulations
    ]
    moves, turn = actions[..., :3] * 0.05, np.array([1.0, 0.0, 1.0, 0.0])

    def play(share: slice) -> None:
        for step in moves[:, share]:
            for (data, position, rotation, at, turned), move in zip(views[share], step):
                np.add(at, move, out=position)
                np.add(turned, turn, out=rotation)
                mujoco.mj_step(model, data, nstep=substeps)

    def episode() -> int:
        for data in simulations:
            template.data = data
            template._reset_sim()
        shares = [slice(number, None, threads) for number in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(play, shares))
        return len(moves) * len(simulations)

    return episode
