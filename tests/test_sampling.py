"""Which transitions and goals are drawn: uniform over all that are stored, and as the rule says."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from rher_pl.choices import Hindsight
from rher_pl.relay import Relay
from rher_pl.replay.sampling import SamplingRule, make_replay_buffers
from rher_pl.replay.storage import KEEP_GOAL

MIXED = [1, 6, 3, 4, 2]
LENGTHS = pytest.mark.parametrize("lengths", [[6], MIXED], ids=["equal", "mixed"])


def differs(counts: torch.Tensor, expected: torch.Tensor | float) -> bool:
    """Whether chi-squared of the counts is more than five standard deviations above its mean."""
    chi2 = ((counts - expected) ** 2 / expected).sum()
    return bool(chi2 > len(counts) + 5 * (2 * len(counts)) ** 0.5)


@LENGTHS
@pytest.mark.parametrize("num_objects", [1, 2, 3])
def test_stored_transitions_are_drawn_alike_and_no_others(make_pools, num_objects, lengths):
    pools = make_pools(num_objects=num_objects, lengths=lengths)
    stored = pools.storage.env_steps
    assert stored == pools.data["length"].sum()
    size = 60_000
    for buffer in pools.buffers:
        row, time, _ = buffer.sample(size)["index"].unbind(-1)
        assert (time < pools.data["length"][row, 0]).all()
        counts = (row * 6 + time).bincount(minlength=240)
        assert (counts > 0).sum() == stored
        assert not differs(counts[counts > 0], size / stored)


@LENGTHS
def test_future_goals_are_drawn_alike_from_all_later_states(make_pools, lengths):
    pools = make_pools(lengths=lengths, relabel_ratio=1.0)
    row, time, later = pools.buffers[1].sample(100_000)["index"].unbind(-1)
    length = pools.data["length"][row, 0]
    seen = 0
    for steps in set(lengths):
        for t in range(steps):
            drawn = later[(length == steps) & (time == t)].bincount(minlength=steps + 1)
            assert drawn[: t + 1].sum() == 0 and len(drawn) == steps + 1
            assert not differs(drawn[t + 1 :], drawn.sum() / (steps - t))
            seen += int(drawn.sum())
    assert seen == len(row)


@LENGTHS
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.8, 1.0])
def test_relabelling_is_independent_of_position_and_time(make_pools, ratio, lengths):
    pools = make_pools(lengths=lengths, relabel_ratio=ratio)
    sample = pools.buffers[1].sample(60_000)
    relabeled, time = sample["relabeled"].squeeze(-1).float(), sample["index"][:, 1]
    parts = [*relabeled.chunk(6), *(relabeled[time == t] for t in range(6))]
    for part in parts:
        assert abs(part.mean() - ratio) <= 5 * (ratio * (1 - ratio) / len(part)) ** 0.5


def test_episodes_of_equal_length_cost_one_draw_each(make_pools):
    """The numbers of earlier versions: a run of today draws what theirs did."""
    pools = make_pools(relabel_ratio=1.0)
    index = pools.buffers[0].sample(1000)["index"]
    generator = torch.Generator().manual_seed(1)
    row, time, later = (
        torch.rand(1000, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    assert torch.equal(index[:, 0], (row * 40).long())
    assert torch.equal(index[:, 1], (time * 6).long())
    assert torch.equal(index[:, 2], index[:, 1] + 1 + (later * (6 - index[:, 1])).long())


def test_inert_draws_are_thinned_without_looking_at_the_outcome(make_pools):
    def share_met_before(inert: float) -> float:
        pools = make_pools(count=200, lengths=MIXED, inert_ratio=inert)
        sample = pools.buffers[1].sample(20_000)
        chosen = sample["relabeled"].squeeze(-1)
        before = pools.relay.met(sample["goals"], sample["achieved"], 1)
        assert abs(chosen.float().mean() - 0.8) < 0.02
        return before[chosen].float().mean().item()

    plain, thinned, none = (share_met_before(inert) for inert in (1.0, 0.2, 0.0))
    expected = 0.2 * plain / (0.2 * plain + 1 - plain)
    assert plain > 0.1
    assert abs(thinned - expected) < 0.02
    assert none < 0.01


def slots_met(relay: Relay, sample: TensorDict, subtask: int) -> torch.Tensor:
    """Whether each slot of samples [B] is met before the action, [B, P]; empty ones are."""
    return (sample["goals"] - sample["achieved"]).norm(dim=-1) <= relay.limit[subtask]


@pytest.mark.parametrize("subtask", [1, 3])
def test_draws_where_another_object_would_be_served_are_thinned(make_pools, subtask):
    """The other objects' slots decide, whatever becomes of the subtask's own."""

    def share_unmet(unmet: float) -> float:
        pools = make_pools(count=200, num_objects=2, scale=0.02, unmet_ratio=unmet)
        sample = pools.buffers[subtask].sample(20_000)
        chosen = sample["relabeled"].squeeze(-1)
        met = slots_met(pools.relay, sample, subtask)
        others = [slot for slot in range(3) if slot != 1 + subtask // 2]
        return (~met[:, others].all(-1))[chosen].float().mean().item()

    plain, thinned, none = (share_unmet(unmet) for unmet in (1.0, 0.3, 0.0))
    if subtask == 1:  # no object comes before: the slots of later ones show where they are
        assert plain == thinned == none == 0.0
    else:
        assert plain > 0.1
        assert abs(thinned - 0.3 * plain / (0.3 * plain + 1 - plain)) < 0.03
        assert none < 0.02


def test_the_inert_filter_looks_at_the_active_object_alone(make_pools):
    """A goal that is met for the second object is thinned although the first is away from its."""

    def share(inert: float) -> float:
        pools = make_pools(count=200, num_objects=2, scale=0.02, inert_ratio=inert)
        sample = pools.buffers[3].sample(20_000)
        chosen = sample["relabeled"].squeeze(-1)
        met = slots_met(pools.relay, sample, 3)[chosen]
        return (met[:, 2] & ~met[:, 1]).float().mean().item()

    assert share(1.0) > 0.05
    assert share(0.0) < 0.25 * share(1.0)


@pytest.mark.parametrize("subtask", [0, 3])
def test_a_share_comes_from_states_of_the_objects_own_turn_all_alike(make_pools, subtask):
    def drawn(share: float) -> tuple[torch.Tensor, torch.Tensor]:
        pools = make_pools(count=50, num_objects=2, scale=0.02, turn_share=share)
        storage, size = pools.storage, 40_000
        index, _ = pools.buffers[subtask]._sampler.sample(storage, size)
        own = storage.states_of_turn(subtask // 2)
        number = index[:, 0] * storage.max_length + index[:, 1]
        of_own = own[:, 0] * storage.max_length + own[:, 1]
        return number, of_own

    number, own = drawn(0.0)
    plain = torch.isin(number, own).float().mean().item()
    assert 0.05 < plain < 0.95
    number, own = drawn(0.6)
    mine = torch.isin(number, own)
    assert abs(mine.float().mean().item() - (0.6 + 0.4 * plain)) < 0.02
    counts = torch.bincount(number[mine], minlength=int(own.max()) + 1)[own].double()
    assert not differs(counts, counts.mean())


def test_plain_her_knows_no_turns_of_other_objects(make_pools):
    pools = make_pools(count=50, num_objects=2, scale=0.02)
    relay = pools.relay.only_last()

    def drawn(**options: float) -> torch.Tensor:
        rule = SamplingRule(inert_ratio=0.2, **options)
        (pool,) = make_replay_buffers(pools.storage, relay, rule, torch.Generator().manual_seed(1))
        return pool.sample(500)["index"]

    assert torch.equal(drawn(), drawn(unmet_ratio=0.0, turn_share=1.0))


def test_while_an_object_never_had_its_turn_all_states_are_drawn_alike(make_pools):
    pools = make_pools(count=50, num_objects=2, scale=5.0, turn_share=1.0)
    assert not len(pools.storage.states_of_turn(1))
    index, _ = pools.buffers[3]._sampler.sample(pools.storage, 20_000)
    assert not differs(torch.bincount(index[:, 0], minlength=50).double(), 400.0)


@LENGTHS
def test_sampling_leaves_the_storage_unchanged(make_pools, lengths):
    pools = make_pools(lengths=lengths, inert_ratio=0.2, prioritize_motion=0.5)
    motion = pools.storage.motion.clone()
    for buffer in pools.buffers:
        sample = buffer.sample(1000)
        for value in sample.values(True, True):
            value.zero_()
    for key, stored in pools.storage.state_dict()["episodes"].items():
        assert torch.equal(stored.nan_to_num(), pools.data[key].nan_to_num()), key
    assert torch.equal(pools.storage.motion, motion)


# --- where hindsight goals come from -----------------------------------------------------------


@LENGTHS
def test_final_goals_come_from_the_last_state(make_pools, lengths):
    pools = make_pools(lengths=lengths, hindsight=Hindsight.final, relabel_ratio=1.0)
    row, _, later = pools.buffers[1].sample(5_000)["index"].unbind(-1)
    assert torch.equal(later, pools.data["length"][row, 0])


@LENGTHS
def test_episode_goals_come_from_all_states_alike_whatever_the_time(make_pools, lengths):
    pools = make_pools(lengths=lengths, hindsight=Hindsight.episode, relabel_ratio=1.0)
    row, time, later = pools.buffers[1].sample(60_000)["index"].unbind(-1)
    length = pools.data["length"][row, 0]
    for steps in set(lengths):
        for t in {0, steps - 1}:
            drawn = later[(length == steps) & (time == t)].bincount(minlength=steps + 1)
            assert not differs(drawn, drawn.sum() / (steps + 1))


def test_future_is_the_default(make_pools):
    default, named = make_pools(), make_pools(hindsight=Hindsight.future)
    drawn = [pools.buffers[1].sample(1000)["index"] for pools in (default, named)]
    assert torch.equal(*drawn)


@LENGTHS
@pytest.mark.parametrize("hindsight", Hindsight)
def test_rewards_are_recomputed_for_every_strategy(make_pools, hindsight, lengths):
    pools = make_pools(lengths=lengths, hindsight=hindsight, relabel_ratio=1.0)
    sample = pools.buffers[1].sample(5_000)
    row, time, later = sample["index"].unbind(-1)
    assert (later != KEEP_GOAL).all()
    achieved = pools.data["achieved_goals"]
    goal, following = achieved[row, later], achieved[row, time + 1]
    met = (goal[:, 1] - following[:, 1]).norm(dim=-1) <= 0.05
    assert torch.equal(sample["next", "reward"].squeeze(-1) == 0, met)
    assert 0 < met.float().mean() < 1


# --- prioritising ------------------------------------------------------------------------------


@LENGTHS
def test_episodes_are_drawn_in_proportion_to_motion(make_pools, lengths):
    share, size = 0.6, 60_000
    pools = make_pools(lengths=lengths, prioritize_motion=share)
    data, length = pools.data, pools.data["length"].squeeze(-1)
    data["achieved_goals"][:20] *= 4.0
    pools.storage.extend(data)  # in place of the first ones
    steps = data["achieved_goals"][:, 1:, 1] - data["achieved_goals"][:, :-1, 1]
    motion = steps.norm(dim=-1).clamp(max=pools.relay.epsilon).sum(-1)
    assert torch.allclose(pools.storage.motion, motion)
    counts = pools.buffers[1].sample(size)["index"][:, 0].bincount(minlength=40)
    expected = share * motion / motion.sum() + (1 - share) * length / length.sum()
    assert not differs(counts, expected * size)
    assert differs(counts, length / length.sum() * size), "the fixture must tell it from uniform"


def test_without_any_motion_episodes_are_drawn_alike(make_pools):
    pools = make_pools(prioritize_motion=1.0)
    pools.storage.motion.zero_()
    counts = pools.buffers[0].sample(20_000)["index"][:, 0].bincount(minlength=40)
    assert not differs(counts, 20_000 / 40)


def test_with_several_objects_motion_decides_what_turns_leave(make_pools):
    pools = make_pools(count=50, num_objects=2, scale=0.02, turn_share=0.5, prioritize_motion=1.0)
    pools.storage.motion.zero_()
    pools.storage.motion[7] = 1.0
    share = (pools.buffers[-1].sample(20_000)["index"][:, 0] == 7).float().mean()
    assert 0.48 < share < 0.58
