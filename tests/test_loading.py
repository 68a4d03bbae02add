"""A policy from a checkpoint is the evaluated one, and nothing that a file names is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.checkpoints.policy import policy_content
from rher_pl.deploy.trained import load_policy
from rher_pl.errors import ConfigError
from rher_pl.tasks import registry
from rher_pl.training.module import RHERModule


def random_states(count: int = 100) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((6,), (2, 3), (1, 3))
    return tuple(torch.randn(count, *size, generator=generator) for size in sizes)


def test_the_loaded_policy_is_the_evaluated_one(checkpoint: Path) -> None:
    before = torch.get_rng_state()
    trained = load_policy(checkpoint)
    assert torch.equal(torch.get_rng_state(), before)
    module = RHERModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    states = random_states()
    expected = module.evaluated_policy.act(*states)
    assert torch.equal(trained.policy.act(*states), expected)
    assert not torch.equal(module.policy.act(*states), expected)
    assert trained.counters == {"env_steps": 500, "episodes": 20, "updates": 160}
    assert not any(p.requires_grad for p in trained.policy.parameters())


def test_a_policy_cut_out_of_a_checkpoint_is_the_same(checkpoint: Path, tmp_path: Path) -> None:
    trained = load_policy(checkpoint)
    write_checkpoint(policy_content(trained.stored), tmp_path / "small.ckpt")
    assert (tmp_path / "small.ckpt").stat().st_size < checkpoint.stat().st_size / 4
    small = load_policy(tmp_path / "small.ckpt")
    observation = {
        "observation": np.ones((2, 6)),
        "achieved_goal": np.ones((2, 6)),
        "desired_goal": np.zeros((2, 3)),
    }
    assert np.array_equal(small(observation), trained(observation))
    assert small.stored.exploration == trained.stored.exploration != {}
    single = {key: value[0] for key, value in observation.items()}
    assert np.allclose(small(single), small(observation)[0], atol=1e-6)


def test_a_policy_needs_no_registered_task(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_policy(checkpoint).policy.act(*random_states())
    monkeypatch.setattr(registry, "_TASKS", {})
    trained = load_policy(checkpoint)
    assert torch.equal(trained.policy.act(*random_states()), expected)
    with pytest.raises(ConfigError, match="unknown task 'PointPush-v0'"):
        trained.task  # noqa: B018


def test_a_trained_policy_says_what_it_is_in_one_line(checkpoint: Path) -> None:
    text = repr(load_policy(checkpoint))
    assert text.endswith("PointPush-v0, 500 env steps)") and "\n" not in text


def test_what_a_file_names_is_never_called(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["hyper_parameters"]["_instantiator"] = "os.abort"
    write_checkpoint(content, tmp_path / "odd.ckpt")
    assert load_policy(tmp_path / "odd.ckpt").task.name == "PointPush-v0"


@pytest.mark.parametrize(
    "change",
    [
        {"layout": ["-"] * 5},
        {"layout": ["nonsense"] * 6},
        {"relay": {"objects": ["a", "b"]}},
        {"relay": {"objects": []}},
        {"relay": {"objects": ["push"], "colour": 1}},
        {"action_size": 3},
    ],
)
def test_parts_that_do_not_fit_together_are_one_line(
    checkpoint: Path, tmp_path: Path, change: dict
) -> None:
    content = read_checkpoint_file(checkpoint)
    content["rher_pl"] |= change
    write_checkpoint(content, tmp_path / "odd.ckpt")
    with pytest.raises(ConfigError) as refused:
        load_policy(tmp_path / "odd.ckpt")
    assert "\n" not in str(refused.value)


def test_networks_larger_than_the_file_take_no_memory(checkpoint: Path, tmp_path: Path) -> None:
    for sizes in ({"hidden_size": 10**9}, {"hidden_layers": 2**62}):
        content = read_checkpoint_file(checkpoint)
        content["hyper_parameters"] |= sizes
        write_checkpoint(content, tmp_path / "large.ckpt")
        with pytest.raises(ConfigError, match="larger than its weights"):
            load_policy(tmp_path / "large.ckpt")


@pytest.mark.parametrize("name", ["a" * 5_000, "no\0such", "nowhere.ckpt"])
def test_a_name_that_is_no_file_is_one_line(name: str) -> None:
    with pytest.raises(ConfigError, match="or one of the policies") as refused:
        load_policy(name)
    assert len(str(refused.value)) < 400


def test_a_policy_of_version_0_1_still_loads() -> None:
    trained = load_policy(Path(__file__).parent / "data" / "push_0_1.ckpt")
    assert trained.portable.sizes == {"observation": 25, "achieved_goal": 3, "desired_goal": 3}
