"""Options that choose a variant: plain HER, mixing, where hindsight goals come from."""

from __future__ import annotations

import pytest
import torch
from test_relabel import LENGTH, pools
from test_training import train

from rher_pl import choices
from rher_pl.choices import Algorithm, Mixing, RelayMode, plain
from rher_pl.collect.progress import RelayProgress
from rher_pl.errors import ConfigError
from rher_pl.replay.storage import KEEP_GOAL
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule, split_rounds

ENUMS = (choices.Algorithm, choices.Hindsight, choices.Mixing, choices.RelayMode)


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
    assert alone.progress.guide_subtask is None and alone.progress.learner_subtask == 0
    achieved, desired = torch.randn(6, 2, 3), torch.randn(6, 1, 3)
    achieved[:3, 1] = desired[:3, 0]
    solved = [m.relay.solved(achieved, desired)[:, -1] for m in (full, alone)]
    assert torch.equal(*solved) and solved[0].tolist() == [True] * 3 + [False] * 3
    subtasks = torch.ones(6).long(), torch.zeros(6).long()
    goals = [
        m.relay.encode(m.relay.goals(achieved, desired, s), achieved, s)
        for m, s in zip((full, alone), subtasks)
    ]
    assert torch.equal(*goals)


def test_without_a_relay_a_batch_has_one_size():
    for size in (256, [256]):
        data = RelayDataModule("FetchPush-v4", relay=RelayMode.none, batch_size=size)
        assert data.batch_sizes == [256]
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


def test_no_guide_share_means_no_guide(make_behavior):
    behavior = make_behavior(guide_share=0.0)
    actor, subtask = behavior.choose(torch.zeros(20_000, dtype=torch.int64))
    assert (actor != 0).all(), "0 is the guide"
    assert (subtask == 1).all(), "the reach-policy never acts"
    assert abs((actor == 2).float().mean() - 0.2) < 0.02


@pytest.fixture
def make_behavior():
    from rher_pl.collect.behavior import BehaviorPolicy

    def make(guide_share: float) -> BehaviorPolicy:
        module = RHERModule("PointPush-v0", hidden_size=8)
        progress, generator = RelayProgress(2), torch.Generator().manual_seed(0)
        return BehaviorPolicy(module.policy, progress, guide_share, 0.2, 0.2, None, generator)

    return make


# --- mixing ------------------------------------------------------------------------------------


def test_rounds_hold_the_same_samples_once_each():
    _, _, _, buffers = pools()
    samples = torch.cat(
        [b.sample(5 * n).view(5, n) for b, n in zip(buffers, (16, 48))], dim=1
    )  # [U, B]
    assert split_rounds(samples, Mixing.joint) == [samples]
    rounds = split_rounds(samples, Mixing.sequential)
    assert [r.batch_size for r in rounds] == [(5, 16), (5, 48)]
    for subtask, part in enumerate(rounds):
        assert (part["subtask"] == subtask).all()
    assert torch.equal(torch.cat([r["observation"] for r in rounds], 1), samples["observation"])


def test_sequential_updates_one_subtask_after_the_other(monkeypatch):
    seen: list[tuple[int, set[float]]] = []
    original = RHERModule.update

    def spy(self, sample, **options):
        one_hot = sample["inputs"][:, -2:]
        seen.append((len(one_hot), set(one_hot.argmax(-1).tolist())))
        return original(self, sample, **options)

    monkeypatch.setattr(RHERModule, "update", spy)
    settings = {"updates_per_episode": 1, "batch_size": [8, 24], "random_episodes": 50}
    joint = train(epochs=1, **settings, model={"compiled": False})  # or some are done at once
    assert seen == [(32, {0, 1})] * 20 and joint.updates == 20  # two iterations of ten episodes
    assert joint.trainer.global_step == 2, "an iteration is a step to Lightning"
    seen.clear()
    options = {"mixing": Mixing.sequential, "compiled": False}
    sequential = train(epochs=1, **settings, model=options)
    assert seen == ([(8, {0})] * 10 + [(24, {1})] * 10) * 2
    assert sequential.updates == 40
    assert {"train/q/reach", "train/q/push"} <= sequential.metrics.keys()


# --- hindsight ---------------------------------------------------------------------------------


def hindsight_times(**rule) -> tuple[torch.Tensor, torch.Tensor]:
    """Times t and f of many relabelled samples."""
    _, _, _, buffers = pools(relabel_ratio=1.0, **rule)
    _, time, later = buffers[1].sample(30_000)["index"].unbind(-1)
    assert (later != KEEP_GOAL).all()
    return time, later


def test_final_goals_come_from_the_last_state():
    _, later = hindsight_times(hindsight=choices.Hindsight.final)
    assert (later == LENGTH).all()


def test_episode_goals_come_from_all_states_alike_whatever_the_time():
    time, later = hindsight_times(hindsight=choices.Hindsight.episode)
    for t in (0, LENGTH - 1):
        drawn = later[time == t].bincount(minlength=LENGTH + 1).float()
        assert (drawn / drawn.sum() - 1 / (LENGTH + 1)).abs().max() < 0.03


def test_future_is_the_default_and_strictly_later():
    time, later = hindsight_times()
    assert (later > time).all() and later.max() == LENGTH
    assert torch.equal(later, hindsight_times(hindsight=choices.Hindsight.future)[1])


@pytest.mark.parametrize("hindsight", choices.Hindsight)
def test_rewards_are_recomputed_for_every_strategy(hindsight):
    _, data, _, buffers = pools(hindsight=hindsight, relabel_ratio=1.0)
    sample = buffers[1].sample(5_000)
    row, time, later = sample["index"].unbind(-1)
    goal, following = data["achieved_goals"][row, later], data["achieved_goals"][row, time + 1]
    met = (goal[:, 1] - following[:, 1]).norm(dim=-1) <= 0.05
    assert torch.equal(sample["next", "reward"].squeeze(-1) == 0, met)
    assert 0 < met.float().mean() < 1


# --- prioritising ------------------------------------------------------------------------------


def test_episodes_are_drawn_in_proportion_to_motion():
    share = 0.6
    _, data, storage, buffers = pools(prioritize_motion=share)
    data["achieved_goals"][:20] *= 4.0
    storage.extend(data)  # in place of the first ones
    steps = data["achieved_goals"][:, 1:, 1] - data["achieved_goals"][:, :-1, 1]
    motion = steps.norm(dim=-1).sum(-1)
    assert torch.allclose(storage.motion[:40], motion)
    drawn = buffers[1].sample(60_000)["index"][:, 0].bincount(minlength=40) / 60_000
    expected = share * motion / motion.sum() + (1 - share) / 40
    assert (drawn - expected).abs().max() < 0.004
    assert (expected - 1 / 40).abs().mean() > 0.008, "the fixture must tell it from uniform"


def test_motion_is_restored_and_an_empty_one_is_uniform():
    _, data, storage, buffers = pools(prioritize_motion=1.0)
    motion, state = storage.motion.clone(), storage.state_dict()
    storage.motion.zero_()
    drawn = buffers[0].sample(20_000)["index"][:, 0].bincount(minlength=40) / 20_000
    assert (drawn - 1 / 40).abs().max() < 0.01
    storage.load_state_dict(state)
    assert torch.equal(storage.motion, motion)
    assert len(motion) == len(data)


def test_a_falling_object_does_not_outweigh_all():
    from rher_pl.replay.storage import EpisodeStorage

    _, data, _, _ = pools(count=2)
    data["achieved_goals"][0, 3:, 1] += 9.0  # one step of nine metres
    storage = EpisodeStorage(2, data[0], motion_limit=0.05)
    storage.extend(data)
    assert storage.motion[0] <= LENGTH * 0.05
