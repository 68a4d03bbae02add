"""The throughput benchmark: its baselines, what it measures, its file and its table."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.throughput.iteration import Iteration, measure_iteration
from benchmarks.throughput.training import train_ours, train_sb3
from cli_config import write_config
from rher_pl.learner.learning import one_by_one
from rich.console import Console
from torch import nn

from benchmarks.throughput import report
from benchmarks.throughput.__main__ import main
from benchmarks.throughput.baselines import EagerTD3, TorchRLTD3
from benchmarks.throughput.environments import measure_environments
from benchmarks.throughput.rounds import Rate, interleave
from benchmarks.throughput.startup import first_step_seconds
from benchmarks.throughput.updates import (
    engines,
    loss_agreement,
    measure_updates,
    ours,
    random_samples,
    torch_compiled,
)
from rher_pl.networks.actor_critic import StackedMLP
from rher_pl.training.module import RHERModule

MODEL = dict(RHERModule("FetchPush-v4", hidden_size=32, hidden_layers=2).hparams)
RATE = Rate(2.0, 1.0, 3.0)
PARTS = {"recording": 0.02, "evaluation": 0.1}


def track(sequence: Iterable[int], title: str) -> Iterable[int]:
    return sequence


def linear(network: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in network if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize(
    ("precision", "compiled", "bound"),
    [("32-true", False, 0.01), ("32-true", None, 0.01), ("bf16-mixed", None, 0.5)],
)
def test_updates_agree_with_plain_eager_ones(
    precision: str, compiled: bool | None, bound: float
) -> None:
    """Stacked networks, fused Adam, C++ and reduced precision do what the plain update does.

    The bound is in units of how far the updates move the weights.
    """
    module = ours(MODEL, precision, compiled)
    plain = EagerTD3(module.policy.encoder.size, module.policy.action_size, MODEL)
    pairs: list[tuple[StackedMLP, list[Any]]] = [
        (module.policy.actor.net, [plain.actor]),
        (module.critic.net, list(plain.critics)),
        (module.target_actor.net, [plain.target_actor]),
        (module.target_critic.net, list(plain.target_critics)),
    ]

    def weights(stacked: StackedMLP) -> list[torch.Tensor]:
        return [weight.detach().clone() for weight, _ in stacked.layers()]

    for stacked, networks in pairs:
        for member, network in enumerate(networks):
            for layer, (weight, bias) in zip(linear(network), stacked.layers(), strict=True):
                layer.weight.data.copy_(weight[member].T)
                layer.bias.data.copy_(bias[member, 0])
    starts = [weights(stacked) for stacked, _ in pairs]
    for number, sample in enumerate(one_by_one(random_samples(module, 64, 6)), start=1):
        module.update(sample)
        plain.update(sample, number)
    for (stacked, networks), start in zip(pairs, starts, strict=True):
        for layer, (ours_, before) in enumerate(zip(weights(stacked), start, strict=True)):
            theirs = torch.stack([linear(network)[layer].weight.T for network in networks])
            assert (ours_ - theirs).norm() < bound * (ours_ - before).norm()


def test_torchrl_contestant_learns_from_the_same_batches() -> None:
    module = ours(MODEL, "32-true", compiled=False)
    samples = one_by_one(random_samples(module, 64, 4))
    theirs = TorchRLTD3(module.policy.encoder.size, module.policy.action_size, MODEL)
    parameters = [*theirs.loss.parameters()]
    before = [parameter.clone() for parameter in parameters]
    for number, sample in enumerate(samples, start=1):
        theirs.update(TorchRLTD3.keys(sample), number)
    changed = [not torch.equal(a, b) for a, b in zip(parameters, before, strict=True)]
    trained = [parameter.requires_grad for parameter in parameters]
    assert all(changed) and sum(trained) == 2 * 6  # one actor, one stack of critics


def test_rounds_are_taken_in_turns_and_the_first_is_not_timed() -> None:
    calls: list[str] = []

    def contestant(name: str) -> Any:
        return lambda: calls.append(name) or 10

    rates = interleave({"a": contestant("a"), "b": contestant("b")}, 3, "title", track)
    assert calls == ["a", "b"] * 4
    assert all(rate.low <= rate.median <= rate.high for rate in rates.values())


def test_environments_are_all_measured() -> None:
    rates = measure_environments("FetchReach-v4", (1, 3), (1, 2), rounds=1, track=track)
    ours_ = {f"ours_{n}x{t}" for n in (1, 3) for t in (1, 2)}
    assert rates.keys() == {"gym_make", "torchrl_gymenv", "floor", "floor_x2"} | ours_
    assert 0.2 < rates["ours_3x1"].median / rates["floor"].median < 1.5


@pytest.mark.parametrize(("threads", "compiled"), [((1, 2), False), ((1,), True)])
def test_updates_are_measured_with_each_number_of_threads(
    threads: tuple[int, ...], compiled: bool
) -> None:
    before = torch.get_num_threads()
    rates = measure_updates(MODEL, 16, threads, 2, rounds=1, compiled=compiled, track=track)
    names = {"eager_fp32", "ours", "td3loss"}
    names |= {"ours_compiled", "torch_compile"} if compiled else set()
    assert {n: set(found) for n, found in rates.items()} == dict.fromkeys(threads, names)
    assert torch.get_num_threads() == before


def test_the_engines_of_both_contestants_are_told() -> None:
    found = engines(MODEL)
    assert found.keys() == {"ours", "ours_compiled"}
    assert found["ours"] in ("plain", "native") and found["ours_compiled"] != "plain"


def test_torch_compile_is_measured_where_cpp_is_used() -> None:
    module = torch_compiled(MODEL, "32-true")
    module.warm_up([4])
    assert not module.td3.native
    module.td3.compute_in(torch.float32)  # as fit does: what was chosen stays
    module.learn(random_samples(module, 4, 1))
    assert not module.td3.native


def test_losses_of_the_default_update_agree() -> None:
    assert all(0 <= worst < 0.05 for worst in loss_agreement(MODEL, 64, 3).values())


@pytest.mark.parametrize("pipelined", ["pipelined=false", "pipelined=true"])
def test_an_iteration_is_taken_apart(tmp_path: Path, pipelined: str) -> None:
    config = Path(write_config(tmp_path))
    overrides = ("--data.task=FetchReach-v4", "--data.eval_episodes=2", f"--data.{pipelined}")
    found = measure_iteration(config, tmp_path / "runs", 4, overrides)
    names = {"collecting", "sampling and relabelling", "encoding", "updating", "recording"}
    assert found.parts.keys() == names | {"evaluation", "checkpoints"}
    seconds = (found.loop, found.environment, found.updates, found.whole)
    assert min(*seconds, *found.parts.values()) > 0
    # Collection that is not waited for can make it less than its parts; it stays one of them.
    assert found.over_parts > (0.5 if pipelined.endswith("false") else 0.0)
    assert found.whole > sum(found.parts.values()) * 0.9


def test_trainings_do_the_same_work(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    config = Path(write_config(tmp_path))
    _, updates = train_ours(config, episodes=4, updates_per_episode=3)
    assert updates == 4 * 3
    _, updates = train_sb3("FetchReach-v4", MODEL, 16, episodes=4, updates_per_episode=3)
    assert updates == 4 * 3


def test_start_up_is_timed_to_the_first_env_step(tmp_path: Path) -> None:
    assert 0.5 < first_step_seconds(Path(write_config(tmp_path))) < 200
    assert not (tmp_path / "mlruns").exists()


@pytest.fixture
def results() -> report.Results:
    rates = {name: RATE for name in ("gym_make", "torchrl_gymenv", "floor", "ours_1x1")}
    updates = {name: RATE for name in ("eager_fp32", "ours", "ours_compiled", "td3loss")}
    iteration = Iteration(1.2, 0.25, 0.75, 1.2, 1.5, PARTS)
    return {
        "cpu": "a CPU",
        "cpu_count": 2,
        "torch_threads": 2,
        **report.environment_results(rates),
        **report.update_results({1: updates, 2: updates | {"ours": Rate(9.0, 8.0, 9.5)}}, 2),
        **report.iteration_results({"sequential": iteration, "pipelined": iteration}, "sequential"),
        "training_seconds": {"ours": 10.0, "ours_compiled": 9.0, "sb3": 45.0},
        "training_rounds": {"ours": [9.0, 10.0, 12.5], "ours_compiled": [9.0], "sb3": [45.0]},
        "startup_seconds": 7.123456,
        "help_seconds": 0.05,
    }


def test_the_file_has_the_agreed_keys(tmp_path: Path, results: report.Results) -> None:
    path = tmp_path / "new" / "throughput.json"
    report.save(results, path)
    saved = json.loads(path.read_text())
    assert saved["env_steps_per_second"]["ours_1x1"] == 2.0
    assert saved["updates_per_second"] == {
        "eager_fp32": 2.0,
        "ours": 9.0,
        "ours_compiled": 2.0,
        "td3loss": 2.0,
    }
    assert saved["iteration_over_parts"] == 1.2
    assert saved["training_seconds"] == {"ours": 10.0, "ours_compiled": 9.0, "sb3": 45.0}
    assert saved["startup_seconds"] == 7.123
    assert [file.name for file in path.parent.iterdir()] == ["throughput.json"]


def test_the_table_shows_everything_and_its_ratios(results: report.Results) -> None:
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(report.make_table(results))
    text = console.export_text()
    for words in (
        "floor",
        "4.50 of eager",
        "1.20 of its parts",
        "recording",
        "4.5 times",
        "9.0 to 12.5",
        "7.1 s",
    ):
        assert words in text


def test_a_missing_config_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--config", "no.yaml"])
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    assert "no config file no.yaml" in message and message.count("\n") == 1
