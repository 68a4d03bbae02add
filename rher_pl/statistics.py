"""What is logged of episodes, samples and evaluations, by metric name."""

from __future__ import annotations

from tensordict import TensorDictBase
from torch import Tensor

from rher_pl.exploration import Actor
from rher_pl.relay import Relay

Metrics = dict[str, Tensor]


def episode_statistics(episodes: TensorDictBase, relay: Relay) -> Metrics:
    """Of newly collected episodes: who acted, and in how many an object was touched."""
    actor = episodes["actor"]
    metrics = {f"relay/{a.name.lower()}_share": (actor == a).float().mean() for a in Actor}
    objects = episodes["achieved_goals"][:, :, 1:]  # [N, T+1, P-1, 3]
    if objects.shape[2]:
        moved = (objects - objects[:, :1]).norm(dim=-1).amax(1)  # [N, P-1]
        limit = relay.subtasks[-1].epsilon / 5.0
        metrics["relay/contact_rate"] = (moved > limit).any(-1).float().mean()
    return metrics


def sample_statistics(samples: TensorDictBase, relay: Relay) -> Metrics:
    """Of mixed batches: per subtask, INNR share of the relabelled samples and mean reward."""
    metrics: Metrics = {}
    for index, name in enumerate(relay.names):
        mine = samples["subtask"] == index
        relabeled = (samples["relabeled"] & mine).sum().clamp(min=1)
        metrics[f"relay/innr_share/{name}"] = (samples["inert"] & mine).sum() / relabeled
        reward = samples["next", "reward"][mine]
        metrics[f"relay/reward_mean/{name}"] = reward.mean()
    return metrics


def evaluation_statistics(result: TensorDictBase, relay: Relay) -> Metrics:
    """Of an evaluation: success per subtask, episodes that started solved counted apart."""
    success = result["success"].float()  # [E, S]
    fresh = ~result["solved_at_reset"]
    metrics = {f"eval/success/{name}": success[:, i].mean() for i, name in enumerate(relay.names)}
    return metrics | {
        "eval/success": success[:, -1].mean(),
        "eval/success_not_solved_at_reset": success[fresh, -1].sum() / fresh.sum().clamp(min=1),
        "eval/solved_at_reset": (~fresh).float().mean(),
        "eval/contact_rate": result["contact"].float().mean(),
        "eval/q": result["q"].mean(),
        "eval/monte_carlo_return": result["monte_carlo_return"].mean(),
    }
