"""What is logged of episodes, samples and evaluations, by metric name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from tensordict import TensorDictBase
from torch import Tensor

from rher_pl.collect.behavior import Chooser
from rher_pl.evaluation.judging import Fate, objects_moved
from rher_pl.relay import Relay

Metrics = dict[str, Tensor]


def episode_statistics(episodes: TensorDictBase, relay: Relay) -> Metrics:
    """Of newly collected episodes: who acted, and the share in which an object was touched.

    Who acted is counted over all states up to an episode's end, and over those in which a given
    subtask came next (left out if there was no such state).
    """
    steps = torch.arange(episodes["chooser"].shape[1], device=episodes["chooser"].device)
    played = steps < episodes["length"]  # [N, T]
    chooser, following = (episodes[key].squeeze(-1)[played] for key in ("chooser", "subtask"))
    metrics: Metrics = {}
    for who in Chooser:
        chosen, share = (chooser == who).float(), f"relay/{who.name.lower()}_share"
        metrics[share] = chosen.mean()
        for index, name in enumerate(relay.names):
            if (there := following == index).any():
                metrics[f"{share}/{name}"] = chosen[there].mean()
    if relay.reach:
        touched = objects_moved(episodes["achieved_goals"], relay)
        metrics["relay/contact_rate"] = touched.float().mean()
    return metrics


def sample_statistics(pools: Sequence[TensorDictBase], relay: Relay) -> Metrics:
    """Of each subtask's samples: INNR share of the relabelled ones, and mean reward.

    INNR (identical non-negative rewards) are samples with reward 0 whatever the action.
    """
    metrics: Metrics = {}
    for name, samples in zip(relay.names, pools, strict=True):
        relabeled = samples["relabeled"].sum().clamp(min=1)
        metrics[f"relay/innr_share/{name}"] = samples["inert"].sum() / relabeled
        metrics[f"relay/reward_mean/{name}"] = samples["next", "reward"].mean()
    return metrics


def update_statistics(rounds: list[Metrics], sizes: Sequence[int], relay: Relay) -> Metrics:
    """Of the updates of an iteration: mean losses, and mean Q over the samples of each subtask.

    Args:
        rounds: what ``TD3.learn`` returned, once for all subtasks or once for each.
        sizes: samples of each subtask in a batch.
        relay: gives the names.
    """
    metrics: Metrics = {}
    for name in ("critic_loss", "actor_loss"):
        values = [done[name].flatten() for done in rounds if name in done]
        if values:
            metrics[f"train/{name}"] = torch.cat(values).mean()
    joint = len(rounds) == 1
    parts: list[Tensor] = []
    for index, done in enumerate(rounds):
        own = list(sizes) if joint else [sizes[index]]
        parts += done["q"].mean(0).view(-1, sum(own)).split(own, dim=1)  # [U, B_s] each
    for name, q in zip(relay.names, parts, strict=True):
        metrics[f"train/q/{name}"] = q.mean()
    return metrics


def evaluation_statistics(results: Mapping[str, TensorDictBase]) -> Metrics:
    """Of an evaluation's figures of each subtask, the task itself last; see :func:`judge`.

    Episodes that started solved are counted apart.
    """
    metrics: Metrics = {}
    for name, result in results.items():
        metrics[f"eval/success/{name}"] = result["success"].float().mean()
        metrics[f"eval/contact_rate/{name}"] = result["contact"].float().mean()
        metrics |= value_statistics(name, result) | fate_statistics(name, result)
    success, fresh = result["success"].float(), ~result["solved_at_reset"]
    if "within_epsilon" in result.keys():  # success is what the environment itself says
        metrics["eval/success_within_epsilon"] = result["within_epsilon"].float().mean()
    if "standing" in result.keys():  # after the hand withdrew
        metrics["eval/success_standing"] = result["standing"].float().mean()
    return metrics | {
        "eval/success": success.mean(),
        "eval/success_not_solved_at_reset": (success * fresh).sum() / fresh.sum().clamp(min=1),
        "eval/solved_at_reset": (~fresh).float().mean(),
        "eval/contact_rate": result["contact"].float().mean(),
    }


def value_statistics(name: str, result: TensorDictBase) -> Metrics:
    """Mean Q and return of a subtask that brings, over the episodes in which it was its turn."""
    if "q" not in result.keys() or not (served := result["served"]).any():
        return {}
    return {f"eval/{key}/{name}": result[key][served].mean() for key in ("q", "monte_carlo_return")}


def fate_statistics(name: str, result: TensorDictBase) -> Metrics:
    """What became of the object of a subtask that brings, as shares of all episodes."""
    if "fate" not in result.keys():
        return {}
    return {
        f"eval/fate/{name}/{fate.name.lower()}": (result["fate"] == fate).float().mean()
        for fate in Fate
    }


def success_when_served(results: Mapping[str, TensorDictBase]) -> list[float]:
    """Success of each subtask over the episodes in which it was its turn; 0 if in none."""
    return [
        float(result["success"][result["served"]].float().mean()) if result["served"].any() else 0.0
        for result in results.values()
    ]
