"""Episodes of a policy, drawn state by state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tensordict import TensorDictBase

from rher_pl.pictures.acting import Acting
from rher_pl.pictures.names import active_text
from rher_pl.pictures.overlay import Caption, Gauge, annotate
from rher_pl.pictures.scenes import Picture, Scene
from rher_pl.relay import Relay


@dataclass(frozen=True)
class Playback:
    """One episode that was played.

    Args:
        frames: a picture for each state: T + 1, or fewer if the episode ended early.
        solved: the task is solved in the final state.
    """

    frames: list[Picture]
    solved: bool


def episode(scene: Scene, acting: Acting, seed: int) -> Iterator[tuple[TensorDictBase, str]]:
    """Yield the states [1] of the episode of a seed, each with a text that says who acts in it.

    ``scene.draw()`` draws the state that was yielded last.
    """
    acting.begin(seed)
    state = scene.reset(seed)
    for _ in range(scene.max_episode_steps):
        if has_ended(state):
            break
        with torch.no_grad():  # not around the yield: it would apply to the caller
            action, who = acting(state)
        yield state, who
        state = scene.step(action)
    yield state, "nobody, the episode is over"


def play(scene: Scene, acting: Acting, relay: Relay, seed: int, title: str = "") -> Playback:
    """Play the episode of a seed and draw every state of it."""
    frames, solved = [], False
    for step, (state, who) in enumerate(episode(scene, acting, seed)):
        places = state["achieved_goals"], state["desired_goals"]
        following = relay.working_on(*places)
        active, index = int(following), int(relay.object_of(*places, following))
        solved = is_solved(relay, state)
        heading = f"{title}step {step}/{scene.max_episode_steps}"
        gauges = make_gauges(relay, state, active)
        caption = Caption(
            heading, active_text(relay, active, scene.look, index), who, gauges, solved
        )
        frames.append(annotate(scene.draw(), caption))
    return Playback(frames, solved)


def is_solved(relay: Relay, state: TensorDictBase) -> bool:
    """Whether the task is solved in a state [1], by the environment's ``is_success`` if given."""
    if "is_success" in state.keys():
        return bool(state["is_success"])
    return bool(relay.solved(state["achieved_goals"], state["desired_goals"])[0, -1])


def has_ended(state: TensorDictBase) -> bool:
    """Whether the episode of a state [1] ended before its last step."""
    return "ending" in state.keys() and bool(state["ending"].any())


def make_gauges(relay: Relay, state: TensorDictBase, active: int) -> tuple[Gauge, ...]:
    """Gauges of the subtasks about the same object as the active subtask, in a state [1]."""
    achieved, desired = relay.numbered(state["achieved_goals"], state["desired_goals"])
    gauges = []
    for index, subtask in enumerate(relay.subtasks):
        if subtask.object == relay.subtasks[active].object:
            offsets = (relay.goals(achieved, desired, index) - achieved)[0, relay.slots.used[index]]
            distance = float(torch.linalg.vector_norm(offsets, dim=-1).max())
            gauges.append(Gauge(subtask.name, distance, relay.epsilon, index == active))
    return tuple(gauges)
