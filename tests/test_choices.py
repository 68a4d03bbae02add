"""Options that choose a variant: plain HER, mixing, where hindsight goals come from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tensordict import TensorDict
from trained import train

from rher_pl import choices
from rher_pl.choices import Algorithm, Mixing, RelayMode, plain
from rher_pl.errors import ConfigError
from rher_pl.learner.td3 import TD3
from rher_pl.networks.actor_critic import NetworkSizes
from rher_pl.training.batches import encode, rounds
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

ENUMS = (choices.Algorithm, choices.Engine, choices.Hindsight, choices.Mixing, choices.RelayMode)


@pytest.mark.parametrize("enum", ENUMS)
def test_a_choice_is_written_as_its_members_are_named(enum):
    assert all(member.name == member.value for member in enum)


def test_hyperparameters_are_plain_types():
    assert type(plain({"mixing": Mixing.joint})["mixing"]) is str
    module = RHERModule("PointPush-v0", hidden_size=8, algorithm=Algorithm.ddpg)
    assert type(module.hparams["algorithm"]) is str
    data = RelayDataModule("PointPush-v0", relay=RelayMode.none)
    assert type(data.hparams["relay"]) is str


# --- relay: none -------------------------------------------------------------------------------


def test_without_a_relay_the_last_subtask_is_left_with_its_goal_and_no_guide():
    full = RHERModule("FetchPush-v4", hidden_size=8)
    alone = RHERModule("FetchPush-v4", hidden_size=8, relay=RelayMode.none)
    assert alone.relay.subtasks == full.relay.subtasks[-1:]
    achieved, desired = torch.randn(6, 2, 3), torch.randn(6, 1, 3)
    achieved[:3, 1] = desired[:3, 0]
    solved = [m.relay.solved(achieved, desired)[:, -1] for m in (full, alone)]
    assert torch.equal(*solved) and solved[0].tolist() == [True] * 3 + [False] * 3
    goals = [m.relay.goals(achieved, desired, m.relay.last) for m in (full, alone)]
    assert torch.equal(*goals)


def test_without_a_relay_a_batch_has_one_size():
    for size in (256, [256]):
        data = RelayDataModule("FetchPush-v4", relay=RelayMode.none, batch_size=size)
        assert data.batch_sizes == (256,)
    with pytest.raises(ConfigError, match=r"--data\.batch_size 256"):
        RelayDataModule("FetchPush-v4", relay=RelayMode.none, batch_size=[64, 192])


def test_without_a_relay_training_goes_through_and_reports_what_a_relay_reports():
    module = train(
        epochs=1,
        updates_per_episode=1,
        batch_size=16,
        relay=RelayMode.none,
        model={"relay": RelayMode.none},
    )
    names = {"relay/innr_share/push", "relay/contact_rate", "relay/guide_share"}
    assert names <= module.metrics.keys()
    assert module.metrics["relay/guide_share"] == 0
    assert "eval/success/reach" not in module.metrics_eval
    assert 0 <= module.metrics_eval["eval/success"] <= 1


def test_no_guide_share_means_no_guide():
    module = train(epochs=1, updates_per_episode=1, batch_size=16, guide_share=0.0)
    assert module.metrics["relay/guide_share"] == 0
    assert module.metrics["relay/learner_share"] > 0.7


# --- mixing ------------------------------------------------------------------------------------

SIZES = NetworkSizes(inputs=3, actions=2)


def encoded(*sizes: int) -> list[dict[str, torch.Tensor]]:
    """Samples of subtasks, told apart by their reward."""
    return [
        {
            "inputs": torch.randn(5, size, 3),
            "action": torch.zeros(5, size, 2),
            "reward": torch.full((5, size), float(-subtask)),
        }
        for subtask, size in enumerate(sizes)
    ]


def test_rounds_hold_the_same_samples_once_each():
    parts = encoded(16, 48)
    (joint,) = rounds(parts, Mixing.joint, 0.1, SIZES)
    in_turn = list(rounds(parts, Mixing.sequential, 0.1, SIZES))
    assert joint["inputs"].shape == (5, 64, 3)
    assert [part["inputs"].shape for part in in_turn] == [(5, 16, 3), (5, 48, 3)]
    assert [set(part["reward"].flatten().tolist()) for part in in_turn] == [{0.0}, {-1.0}]
    assert torch.equal(torch.cat([part["inputs"] for part in in_turn], 1), joint["inputs"])


def test_noise_is_gaussian_and_an_ensemble_gets_its_subsets():
    (joint,) = rounds(encoded(500, 500), Mixing.joint, 0.3, SIZES)
    assert joint["noise"].std().item() == pytest.approx(0.3, rel=0.03)
    assert "subset" not in joint
    (of_many,) = rounds(encoded(8), Mixing.joint, 0.3, replace(SIZES, critics=5))
    assert of_many["subset"].shape == (5, 8, 2)


def test_sequential_updates_one_subtask_after_the_other(monkeypatch):
    seen: list[tuple[int, set[float]]] = []
    original = TD3.update

    def spy(self, batch):
        one_hot = batch["inputs"][:, -2:]
        seen.append((len(one_hot), set(one_hot.argmax(-1).tolist())))
        return original(self, batch)

    monkeypatch.setattr(TD3, "update", spy)
    settings = {"updates_per_episode": 1, "batch_size": [8, 24], "random_episodes": 50}
    joint = train(epochs=1, **settings, model={"engine": "eager"})
    assert seen == [(32, {0, 1})] * 20 and joint.updates == 20  # two iterations of ten episodes
    assert joint.trainer.global_step == 2, "an iteration is a step to Lightning"
    seen.clear()
    options = {"mixing": Mixing.sequential, "engine": "eager"}
    sequential = train(epochs=1, **settings, model=options)
    assert seen == ([(8, {0})] * 10 + [(24, {1})] * 10) * 2
    assert sequential.updates == 40
    assert {"train/q/reach", "train/q/push"} <= sequential.metrics.keys()


def test_an_end_that_terminates_counts_for_ever():
    """Or failing at once, -1, would be worth more than going on unsolved, -1 / (1 - gamma)."""
    state = {"observation": torch.zeros(1, 2, 6)}
    state |= {key: torch.zeros(1, 2, 2, 3) for key in ("achieved", "goals")}
    following = state | {
        "reward": torch.tensor([[[-1.0], [-1.0]]]),
        "terminated": torch.tensor([[[True], [False]]]),
    }
    samples = TensorDict(state | {"action": torch.zeros(1, 2, 2), "next": following}, [1, 2])
    module = RHERModule("PointPush-v0", hidden_size=8)
    encoded = encode(module.encoder, samples, 0, gamma=0.9)
    assert encoded["reward"].flatten().tolist() == pytest.approx([-10.0, -1.0])
