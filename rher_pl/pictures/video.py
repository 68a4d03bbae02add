"""Episodes of a policy as pictures, and pictures as a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import torch
from tensordict import TensorDictBase
from torch import Tensor

from rher_pl.collect.behavior import BehaviorPolicy, Chooser
from rher_pl.envs.checks import STATE_KEYS
from rher_pl.errors import require
from rher_pl.networks.policy import RelayPolicy
from rher_pl.pictures.overlay import Caption, Gauge, annotate, tile
from rher_pl.pictures.scenes import Picture, Scene
from rher_pl.relay import Relay

FRAMES_PER_SECOND = 25
"""Fetch takes 25 env steps in a second of its own time."""
HOLD = 15
"""Frames for which the last picture of an episode stays."""
SUFFIXES = (".mp4", ".mkv", ".mov")


class Acting(Protocol):
    """Who plays an episode."""

    def __call__(self, state: TensorDictBase) -> tuple[Tensor, str]:
        """Action [1, A] for a state [1], and who chose it."""
        ...


class TaskPolicy:
    """The policy without noise, each state under the subtask that serves it, as in evaluations."""

    def __init__(self, policy: RelayPolicy) -> None:
        self.policy = policy

    def __call__(self, state: TensorDictBase) -> tuple[Tensor, str]:
        states = [state[key] for key in STATE_KEYS]
        served = int(self.policy.relay.serving(*states[1:]))
        return self.policy(*states, served), f"{self.policy.relay.names[served]} policy, no noise"


class Exploring:
    """Guide, learner and random actions with noise, as when episodes are collected."""

    def __init__(self, behavior_policy: BehaviorPolicy) -> None:
        self.behavior_policy = behavior_policy
        behavior_policy.only_random = False

    def __call__(self, state: TensorDictBase) -> tuple[Tensor, str]:
        relay = self.behavior_policy.relay
        choice = self.behavior_policy(state.clone())
        who, following = Chooser(int(choice["chooser"])), int(choice["subtask"])
        if who is Chooser.RANDOM:
            return choice["action"], "random action"
        if who is Chooser.GUIDE:
            return choice["action"], f"guide: {relay.names[following]} policy"
        return choice["action"], f"learner: {relay.names[relay.bring_of(following)]} policy"


@dataclass(frozen=True)
class Playback:
    """One episode that was played.

    Args:
        frames: T + 1 pictures, one for each state.
        solved: the task is solved in the final state.
    """

    frames: list[Picture]
    solved: bool


@torch.no_grad()
def play(scene: Scene, acting: Acting, relay: Relay, seed: int, title: str = "") -> Playback:
    """Play the episode of a seed and draw every state of it."""
    state = scene.reset(seed)
    frames, solved = [], False
    for step in range(scene.max_episode_steps + 1):
        last = step == scene.max_episode_steps
        action, who = acting(state)
        gauges = make_gauges(relay, state)
        solved = bool(relay.solved(state["achieved_goals"], state["desired_goals"])[0, -1])
        heading = f"{title}step {step}/{scene.max_episode_steps}"
        frames.append(annotate(scene.draw(), Caption(heading, f"acting: {who}", gauges, solved)))
        if not last:
            state = scene.step(action)
    return Playback(frames, solved)


def make_gauges(relay: Relay, state: TensorDictBase) -> tuple[Gauge, ...]:
    """Of the subtask to work on in a state [1] and its neighbour in the chain."""
    achieved, desired = state["achieved_goals"], state["desired_goals"]
    active = int(relay.working_on(achieved, desired))
    both = [s for s in relay.indices if relay.subtasks[s].object == relay.subtasks[active].object]
    gauges = []
    for subtask in both:
        goals = relay.goals(achieved, desired, subtask)
        distances = torch.linalg.vector_norm(goals - achieved, dim=-1)[0]
        worst = float(distances[relay.slots.used[subtask]].max())
        gauges.append(Gauge(relay.names[subtask], worst, relay.epsilon, subtask == active))
    return tuple(gauges)


def one_after_another(playbacks: Sequence[Playback]) -> Iterator[Picture]:
    """Frames of all episodes in turn; each last picture stays for a moment."""
    for playback in playbacks:
        yield from playback.frames
        yield from [playback.frames[-1]] * HOLD


def side_by_side(playbacks: Sequence[Playback], columns: int = 3) -> Iterator[Picture]:
    """Frames of all episodes at once, in a grid."""
    for pictures in zip(*(playback.frames for playback in playbacks), strict=True):
        sheet = tile(list(pictures), columns)
        yield sheet
    yield from [sheet] * (2 * HOLD)


def strip(frames: Sequence[Picture], count: int) -> Picture:
    """A few frames, evenly over the episode, side by side."""
    chosen = [frames[round(i * (len(frames) - 1) / (count - 1))] for i in range(count)]
    return tile(chosen, count)


def check_video_path(path: str) -> None:
    """Refuse a file that could not be written, before anything is played.

    Raises:
        ConfigError: for another kind of file than a video, or a folder that does not exist.
    """
    file = Path(path)
    require(file.suffix in SUFFIXES, f"{path} names no video: end it in {', '.join(SUFFIXES)}")
    require(file.parent.is_dir(), f"no folder {file.parent}: make it, or write {file.name}")


def encode(frames: Iterator[Picture], path: str | Path) -> int:
    """Write a video in H.264, which every browser plays; returns the number of frames."""
    import av

    count = 0
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(FRAMES_PER_SECOND), options={"crf": "23"}
        )
        stream.pix_fmt = "yuv420p"
        for count, picture in enumerate(frames, start=1):
            if count == 1:
                stream.height, stream.width = picture.shape[:2]
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return count
