"""A user's Gymnasium environment as a batched one: N copies, stepped side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray
from torch import Tensor
from torchrl.data import Binary, Bounded

from rher_pl.envs.contract import BatchedEnv, Ending
from rher_pl.envs.gymnasium_make import FLAG, SUCCESS, Episode, Flag, Recipe, make_episode
from rher_pl.errors import TrainingError, require
from rher_pl.relay import Interface

# A worker's exception is raised again here, in one line: hide the three that Gymnasium logs first.
warnings.filterwarnings("ignore", r"\x1b\[31mERROR: ")

Workers = Literal["sync", "async"]
Judge = Callable[[Tensor, Tensor], Tensor]
"""Maps desired and achieved goals, both [*, D, 3], to whether the task is solved, [*] bool."""


class GymnasiumEnv(BatchedEnv):
    """N copies of an environment with Dict observations, in this process or one process each.

    Keys are those of :mod:`rher_pl.envs.contract`, in float64 where the environment's are. Besides,
    ``is_success [N, 1]`` bool is what the environment's info says of a state. Where it says
    nothing, as often after a reset, ``judge`` decides; without a judge, a state is solved if all
    goals are met within ``epsilon``. Actions in [-1, 1] are scaled to the environment's bounds.

    Args:
        recipe: how one copy is made.
        interface: how its goals become points, and actions in [-1, 1] those that it takes.
        judge: see above.
        max_episode_steps: T.
        num_envs: N.
        seed: environment i starts from ``seed + i``.
        workers: sync steps them one after the other, async each in a process of its own.
        render_mode: ``rgb_array`` if :meth:`render` is to be called.

    Raises:
        TrainingError: if a copy fails, or its process dies; names the copy.
    """

    def __init__(
        self,
        recipe: Recipe,
        interface: Interface,
        judge: Judge | None,
        max_episode_steps: int,
        num_envs: int = 1,
        seed: int = 0,
        workers: Workers = "sync",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(num_envs, max_episode_steps)
        self.name = recipe.spec.id
        self._interface, self._judge = interface, judge
        self._options = dict(recipe.reset_options)
        self._vector = _make_vector(recipe, num_envs, workers, render_mode)
        spaces: Any = self._vector.single_observation_space
        action: Any = self._vector.single_action_space
        self._action_type = action.dtype
        doubles = any(space.dtype == np.float64 for space in spaces.values())
        self._float_dtype = torch.float64 if doubles else torch.float32
        self._make_specs(
            observation=spaces["observation"].shape[0],
            points=len(interface.numbers) + bool(interface.gripper),
            desired=len(interface.numbers),
            action=action.shape[0],
            dtype=self._float_dtype,
        )
        self.observation_spec["ending"] = Bounded(0, max(Ending), (num_envs, 1), dtype=torch.uint8)
        self.observation_spec["is_success"] = Binary(1, (num_envs, 1), dtype=torch.bool)
        self._rngs = [np.random.default_rng() for _ in range(num_envs)]
        self._state: dict[str, Tensor] = {}
        self._set_seed(seed)

    def _start(self, seeds: Mapping[int, int | None]) -> None:
        drawn: list[int | None] = [None] * self.num_envs
        for row, seed in seeds.items():
            if seed is None:  # without one, many environments draw from entropy
                seed = int(self._rngs[row].integers(2**31))
            drawn[row], self._rngs[row] = seed, np.random.default_rng(seed)
        options = dict(self._options)
        if len(seeds) < self.num_envs:
            options["reset_mask"] = np.isin(np.arange(self.num_envs), list(seeds))
        with self._named_workers():
            observed, info = self._vector.reset(seed=drawn, options=options or None)
        state = self._read(observed, info)
        if len(seeds) < self.num_envs:  # the others give no info: keep their states
            over = torch.tensor([row in seeds for row in range(self.num_envs)])
            state = {
                key: torch.where(over.view(-1, *[1] * (value.ndim - 1)), value, self._state[key])
                for key, value in state.items()
            }
        self._state = state

    def _advance(self, action: Tensor) -> Tensor:
        own = self._interface.stretched(action.clamp(-1.0, 1.0)).numpy().astype(self._action_type)
        with self._named_workers():
            observed, reward, _, _, info = self._vector.step(own)
        self._state = self._read(observed, info)
        return torch.tensor(reward, dtype=torch.float32).unsqueeze(-1)

    def _observe(self) -> dict[str, Tensor]:
        return dict(self._state)

    def _read(
        self, observed: Mapping[str, NDArray[Any]], info: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """What a vector environment returned, as states by key."""
        observation, achieved, desired = (
            torch.tensor(observed[key], dtype=self._float_dtype)
            for key in ("observation", "achieved_goal", "desired_goal")
        )
        achieved_slots, desired_goals = map(self._interface.goals, (achieved, desired))
        said = torch.tensor(np.asarray(info[SUCCESS], dtype=np.float64))
        success = said == 1.0
        if said.isnan().any():
            met = self._judge or self._near
            success = torch.where(said.isnan(), met(desired_goals, achieved_slots), success)
        flag = torch.tensor(np.asarray(info[FLAG], dtype=np.int64))
        ended = torch.where(success, int(Ending.SUCCESS), int(Ending.FAILURE))
        ending = torch.where(flag == Flag.TERMINATED, ended, (flag == Flag.TRUNCATED).long())
        return {
            "observation": observation,
            "achieved_goals": self._interface.points(observation, achieved),
            "desired_goals": desired_goals,
            "ending": ending.to(torch.uint8).unsqueeze(-1),
            "is_success": success.unsqueeze(-1),
        }

    def _near(self, desired: Tensor, achieved: Tensor) -> Tensor:
        return (desired - achieved).norm(dim=-1).le(self.epsilon).all(-1)

    def render(self) -> NDArray[np.uint8]:
        """A picture [H, W, 3] uint8 of the first environment, made with a ``render_mode``.

        Raises:
            ConfigError: if the environment returns something else.
        """
        picture = self._vector.call("render")[0]
        shape: tuple[int, ...] = getattr(picture, "shape", ())
        require(
            len(shape) == 3 and shape[-1] == 3,
            f"render() of {self.name} gives {type(picture).__name__} {[*shape] or ''}: made with "
            'render_mode "rgb_array" it must return an array [height, width, 3]',
        )
        return np.asarray(picture, dtype=np.uint8)

    @contextmanager
    def _named_workers(self) -> Iterator[None]:
        """Turn the closed pipe that a dead worker leaves into an error that names the worker."""
        try:
            yield
        except (EOFError, OSError) as error:
            for process in self._processes:
                process.join(0.1)
            raise self._died(self._dead()) from error

    @property
    def _processes(self) -> list[Any]:
        return getattr(self._vector, "processes", [])

    def _dead(self) -> list[int]:
        return [i for i, process in enumerate(self._processes) if process.exitcode is not None]

    def _died(self, dead: Sequence[int]) -> TrainingError:
        names = ", ".join(f"{i} (exit status {self._processes[i].exitcode})" for i in dead)
        return TrainingError(f"the worker of environment {names} of {self.name} died")

    def check_alive(self) -> None:
        if dead := self._dead():
            raise self._died(dead)

    def close(self, *, raise_if_closed: bool = True) -> None:
        """End environments and processes; closing twice is allowed."""
        if self._dead():
            for process in self._processes:  # an orderly close would wait for the dead one
                process.kill()
                process.join()
            self._vector.closed = True
        elif not self._vector.closed:
            self._vector.close()
        super().close(raise_if_closed=raise_if_closed)


def _make_vector(
    recipe: Recipe, count: int, workers: Workers, render_mode: str | None
) -> SyncVectorEnv | AsyncVectorEnv:
    makers: Sequence[Callable[[], Episode]] = [
        partial(make_episode, recipe, number, render_mode) for number in range(count)
    ]
    if workers == "sync":
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED)
    # No fork of this process: threads of torch and of the recorder may hold locks.
    return AsyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED, context="forkserver")
