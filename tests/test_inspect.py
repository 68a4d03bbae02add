"""The inspector shows what the learner would get, and its picture is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensordict import TensorDict

from rher_pl.inspect import main
from rher_pl.pictures.inspection import inspect_episode
from rher_pl.pictures.inspection_figure import inspection_figure
from rher_pl.relay import Relay
from rher_pl.replay.sampling import SamplingRule
from rher_pl.replay.storage import KEEP_GOAL

LENGTH = 12


@pytest.fixture
def relay() -> Relay:
    return Relay(("push",))


@pytest.fixture
def episode() -> TensorDict:
    """The gripper goes along x; the object starts to move at t = 6 and ends at its goal."""
    achieved = torch.zeros(LENGTH + 1, 2, 3)
    achieved[:, 0, 0] = 0.1 * torch.arange(LENGTH + 1)
    achieved[:, 1, 0] = 0.6 + (achieved[:, 0, 0] - 0.6).clamp(min=0.0)
    return TensorDict(
        {
            "observation": torch.zeros(LENGTH + 1, 6),
            "achieved_goals": achieved,
            "desired_goals": torch.tensor([[1.2, 0.0, 0.0]]),
            "action": torch.zeros(LENGTH, 2),
            "length": torch.tensor([LENGTH]),
            "ending": torch.ones(1, dtype=torch.uint8),
        },
        batch_size=[],
    )


@pytest.mark.parametrize("subtask", [0, 1])
def test_rewards_and_goals_are_those_of_the_positions(
    relay: Relay, episode: TensorDict, subtask: int
) -> None:
    one = inspect_episode(relay, episode, subtask, SamplingRule(0.8), seed=0)
    assert 0.4 < one.relabeled.float().mean() < 1.0
    for time in range(LENGTH):
        later = int(one.later[time])
        following = one.achieved[time + 1, subtask]
        original = one.achieved[time, 1] if subtask == 0 else one.desired[0]  # the goal seen at t
        if later != KEEP_GOAL:
            assert time < later <= LENGTH
            assert torch.equal(one.goals[time, subtask], one.achieved[later, subtask])
            met = torch.dist(one.achieved[later, subtask], following) <= 0.05
            assert (one.reward[time] == 0) == met
        else:
            assert one.reward[time] == one.original_reward[time] and not one.inert[time]
        assert (one.original_reward[time] == 0) == (torch.dist(original, following) <= 0.05)
    assert (one.original_reward[-1] == 0) == (subtask == 1)


@pytest.mark.parametrize("seed", range(5))
def test_inert_is_what_is_met_before_and_after_the_action(
    relay: Relay, episode: TensorDict, seed: int
) -> None:
    """The object rests until t = 6: goals from there teach nothing. The gripper never rests."""
    reach, push = (
        inspect_episode(relay, episode, subtask, SamplingRule(1.0), seed) for subtask in (0, 1)
    )
    assert not reach.inert.any()
    at = episode["achieved_goals"][:, 1, 0]
    expected = [
        bool(max(abs(at[later] - at[time]), abs(at[later] - at[time + 1])) <= 0.05)
        for time, later in enumerate(push.later.tolist())
    ]
    assert push.inert.tolist() == expected
    assert not push.inert[6:].any() and not push.inert.all()


def test_goals_that_rest_are_inert(relay: Relay, episode: TensorDict) -> None:
    found = [inspect_episode(relay, episode, 1, SamplingRule(1.0), seed).inert for seed in range(5)]
    assert torch.stack(found)[:, :5].any(), "the control of the test above"


def test_all_or_nothing_is_relabelled_at_the_ends(relay: Relay, episode: TensorDict) -> None:
    assert inspect_episode(relay, episode, 1, SamplingRule(1.0), seed=0).relabeled.all()
    assert not inspect_episode(relay, episode, 1, SamplingRule(0.0), seed=0).relabeled.any()


def test_an_episode_is_as_long_as_it_was(relay: Relay, episode: TensorDict) -> None:
    episode["length"] = torch.tensor([5])
    one = inspect_episode(relay, episode, 1, SamplingRule(1.0), seed=0)
    assert len(one.achieved) == 6 and len(one.reward) == 5 and int(one.later.max()) == 5


def test_the_picture_is_drawn(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "episode.png"
    assert main(["--ckpt", str(checkpoint), "--episode", "0", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("reach: ") and lines[1].startswith("push: ")
    picture = np.asarray(Image.open(out).convert("RGB"))
    assert picture.shape[0] > 800 and picture.shape[1] > 1200 and picture.std() > 20


def test_a_chain_names_whose_each_goal_is_and_explains_each_mark_once() -> None:
    chain = Relay(("push_0", "push_1"))
    achieved = torch.rand(LENGTH + 1, 3, 3)
    frames = {"observation": torch.zeros(LENGTH + 1, 6), "achieved_goals": achieved}
    frames |= {"desired_goals": torch.rand(2, 3), "action": torch.zeros(LENGTH, 2)}
    frames |= {"length": torch.tensor([LENGTH]), "ending": torch.ones(1, dtype=torch.uint8)}
    episode = TensorDict(frames, batch_size=[])
    inspected = [inspect_episode(chain, episode, s, SamplingRule(1.0), 0) for s in chain.indices]
    plans = inspection_figure(inspected, "a chain").axes[::3]
    for subtask, axes in enumerate(plans):
        explained = [text.get_text() for text in axes.get_legend().get_texts()]
        assert len(explained) == len({*explained}) > 3
        named = {text.get_text() for text in axes.texts} - {"10"}
        assert len(named) == int(chain.slots.used[subtask].sum()), named


def test_an_episode_that_is_not_stored_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "episode.png")
    assert main(["--ckpt", str(checkpoint), "--episode", "999", "--out", out]) == 2
    assert "--episode must be in [-20, 19]" in capsys.readouterr().err
