"""Controls on a cheap task: RHER learns it, without relabelling it does not, seeds decide all."""

from __future__ import annotations

import threading
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from trained import made_run, quiet_trainer, train

from rher_pl.envs.point_push import PointPushEnv
from rher_pl.errors import TrainingError
from rher_pl.training.loader import RelayLoader
from rher_pl.training.module import RHERModule


def success(module: RHERModule) -> float:
    return module.metrics_eval["eval/success_not_solved_at_reset"].item()


@pytest.fixture(scope="module")
def learned() -> RHERModule:
    return train(epochs=2)


def test_rher_learns(learned):
    assert success(learned) >= 0.3
    assert learned.env_steps == 3_000
    assert learned.updates == (120 - 10) * 40  # after 20 random episodes, two iterations of ten
    assert learned.metrics["relay/innr_share/push"] < 0.3


def test_without_relabelling_it_learns_far_less(learned):
    assert success(train(epochs=2, relabel_ratio=0.0)) < 0.5 * success(learned)


def equal(left: RHERModule, right: RHERModule) -> bool:
    pairs = zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


SMALL = {"updates_per_episode": 4, "batch_size": 32, "eval_episodes": 20}


@pytest.fixture(
    scope="module",
    params=[{}, {"pipelined": True}, {"precision": "bf16-mixed"}],
    ids=["in turn", "pipelined", "reduced"],
)
def small(request) -> dict:
    return SMALL | request.param


@pytest.fixture(scope="module")
def reference(small) -> RHERModule:
    return train(epochs=3, **small)


def test_the_same_seed_gives_the_same_weights(small, reference):
    assert equal(train(epochs=3, **small), reference)


def test_another_seed_gives_other_weights(small, reference):
    assert not equal(train(epochs=3, seed=1, **small), reference)


def test_resuming_gives_the_weights_of_never_stopping(tmp_path, small, reference):
    train(epochs=2, save=tmp_path / "stopped.ckpt", **small)
    resumed = train(epochs=3, ckpt_path=tmp_path / "stopped.ckpt", **small)
    assert equal(resumed, reference)
    assert (resumed.env_steps, resumed.updates, resumed.episodes) == (
        reference.env_steps,
        reference.updates,
        reference.episodes,
    )
    assert resumed.success.recent == reference.success.recent


class Rates(pl.Callback):
    """The learning rates of the epochs, and a checkpoint after the second."""

    def __init__(self, save: Path) -> None:
        self.seen: list[float] = []
        self.save = save

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        (rate,) = {g["lr"] for each in module.optimizers() for g in each.param_groups}
        self.seen.append(rate)
        if len(self.seen) == 2 and not self.save.exists():
            trainer.save_checkpoint(self.save)


def falling(save: Path, ckpt_path: Path | None = None) -> tuple[RHERModule, list[float]]:
    rates = Rates(save)
    run = made_run({"final_learning_rate": 4e-4, "learning_rate_epochs": 4}, **SMALL)
    quiet_trainer(max_epochs=6, num_sanity_val_steps=0, callbacks=[rates]).fit(
        *run, ckpt_path=ckpt_path, weights_only=True
    )
    return run[0], rates.seen


def test_the_learning_rate_falls_and_goes_on_falling_when_continued(tmp_path):
    path = tmp_path / "stopped.ckpt"
    whole, rates = falling(path)
    assert rates == pytest.approx([2e-3, 1.6e-3, 1.2e-3, 8e-4, 4e-4, 4e-4])
    assert whole.metrics["train/learning_rate"].item() == pytest.approx(rates[-1])
    resumed, rest = falling(path, path)
    assert rest == rates[2:] and equal(resumed, whole)


def test_pipelined_episodes_are_one_iteration_behind_and_no_more(monkeypatch):
    """The first episodes made by the learner's policy come from its weights before any update."""
    collected: dict[bool, list[torch.Tensor]] = {False: [], True: []}
    original = RelayLoader.sample
    for pipelined, actions in collected.items():

        def sample(self: RelayLoader, actions=actions) -> list:
            actions.append(self.storage.episode(len(self.storage) - 1)["action"].clone())
            return original(self)

        monkeypatch.setattr(RelayLoader, "sample", sample)
        train(epochs=1, pipelined=pipelined, **SMALL)
    in_turn, behind = collected[False], collected[True]
    assert torch.equal(in_turn[0], behind[0]), "both are random"
    assert not torch.equal(in_turn[1], behind[1]), "this one has not seen the first updates"


def test_a_checkpoint_holds_tensors_and_plain_types_only(tmp_path, small):
    train(epochs=1, save=tmp_path / "plain.ckpt", **small)
    content = torch.load(tmp_path / "plain.ckpt", weights_only=True)
    entry = content["rher_pl"]
    assert entry["task"] == "PointPush-v0"
    assert entry["relay"]["objects"] == ["push"]
    assert entry["layout"][:2] == ["gripper x", "gripper y"]


# --- any order of what a trainer does ----------------------------------------------------------

ORDERS = (
    ("validate", "fit"),
    ("fit", "validate", "fit"),
    ("fit", "test", "fit", "validate"),
)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("pipelined", [False, True], ids=["in turn", "pipelined"])
def test_a_trainer_may_do_things_in_any_order(order, pipelined):
    threads = threading.active_count()
    module, datamodule = made_run(**SMALL, pipelined=pipelined, num_threads=2)
    trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=0)
    for step in order:
        before = module.episodes
        if step == "fit" and before:
            trainer.fit_loop.max_epochs += 1
        getattr(trainer, step)(module, datamodule)
        assert module.episodes == before + 60 * (step == "fit")
        assert module.metrics_eval
        assert threading.active_count() == threads, "closed means closed"


def test_a_second_fit_goes_on_with_the_episodes_of_the_first():
    module, datamodule = made_run(**SMALL)
    trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(module, datamodule)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, datamodule)
    assert equal(module, train(epochs=2, **SMALL))


def test_lightnings_sanity_check_counts_for_nothing():
    module, datamodule = made_run(**SMALL)
    quiet_trainer(max_epochs=1, num_sanity_val_steps=2).fit(module, datamodule)
    assert [len(values) for values in module.success.recent] == [1, 1]


@pytest.mark.parametrize("pipelined", [False, True], ids=["in turn", "pipelined"])
def test_after_a_fault_in_collecting_all_is_closed_and_a_new_fit_begins(monkeypatch, pipelined):
    threads, torch_threads = threading.active_count(), torch.get_num_threads()
    module, datamodule = made_run(**SMALL, pipelined=pipelined, num_threads=2)
    broken = {"at": 60}
    advance = PointPushEnv._advance

    def failing(self, action):
        broken["at"] -= self.num_envs == 10
        if broken["at"] == 0:
            raise OSError("the simulator fell over")
        return advance(self, action)

    monkeypatch.setattr(PointPushEnv, "_advance", failing)
    with pytest.raises(TrainingError, match="fell over"):
        quiet_trainer(max_epochs=1, num_sanity_val_steps=0).fit(module, datamodule)
    assert threading.active_count() == threads
    assert torch.get_num_threads() == torch_threads
    fresh, _ = made_run(**SMALL)
    quiet_trainer(max_epochs=1, num_sanity_val_steps=0).fit(fresh, datamodule)
    assert equal(fresh, train(epochs=1, **SMALL, pipelined=pipelined))


# --- settings are live -------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_a_setting_that_is_changed_between_iterations_takes_effect(engine):
    """Targets lie within [-1 / (1 - gamma), 0], and so does Q, which had been -10 at most."""

    class Schedule(RHERModule):
        def on_train_batch_start(self, batch, batch_idx):
            self.td3.gamma = 0.0

    module, datamodule = made_run(updates_per_episode=20, batch_size=32, eval_episodes=20)
    scheduled = Schedule(**{**module.hparams, "engine": engine})
    quiet_trainer(max_epochs=1, num_sanity_val_steps=0).fit(scheduled, datamodule)
    module, datamodule = made_run(updates_per_episode=20, batch_size=32, eval_episodes=20)
    quiet_trainer(max_epochs=1, num_sanity_val_steps=0).fit(module, datamodule)
    assert scheduled.metrics["train/q/push"] > -1.2
    assert module.metrics["train/q/push"] < -2.0
