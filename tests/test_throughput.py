"""The throughput benchmark: contestants do the work they are timed for, parts are the run's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from benchmarks.learning.settings import Settings, resolve
from benchmarks.throughput import __main__ as throughput
from benchmarks.throughput import environments, latency, measure, report, runs, startup, updates
from benchmarks.throughput.baselines import TorchRLTD3, train_sb3
from benchmarks.throughput.rounds import Rate, interleave
from benchmarks.throughput.stopwatch import make_twin, play
from rher_pl.choices import Engine
from rher_pl.collect.behavior import BehaviorPolicy, Exploration
from rher_pl.collect.collector import EpisodeCollector
from rher_pl.collect.players import LocalPlayer
from rher_pl.collect.progress import MovingSuccess
from rher_pl.collect.seeds import Stream, episode_seeds
from rher_pl.learner.engines import agrees
from rher_pl.tasks import get_task, make_env
from rher_pl.training.module import RHERModule

RATE = Rate(1.0, 2.0, 3.0)


@pytest.fixture
def settings(small_config: Path) -> Settings:
    return resolve(small_config, {})


def test_a_policy_acts_in_time_in_every_format(tmp_path: Path) -> None:
    """Ten steps of each loop; the recorded figures are of 1,000."""
    out = tmp_path / "latency.json"
    assert latency.main(["--steps", "10", "--results", str(out)]) == 0
    found = json.loads(out.read_text())
    assert {"load_policy", "torchscript", "torch_export", "onnx"} <= set(found["rows"])
    for row in found["rows"].values():
        assert 0 < row["action_ms"]["p50"] <= row["action_ms"]["p99"] < 1000 * latency.PERIOD


# --- rounds ------------------------------------------------------------------------------------


def test_rounds_are_taken_in_turns_and_the_first_is_not_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(1000))  # the first contestant's rounds take a second, the other's three
    monkeypatch.setattr("benchmarks.throughput.rounds.time.perf_counter", lambda: next(clock))
    calls: list[str] = []

    def contestant(name: str, ticks: int) -> Any:
        def work() -> int:
            calls.append(name)
            for _ in range(ticks):
                next(clock)
            return 12 if len(calls) > 2 else 1_000_000

        return work

    rates = interleave({"a": contestant("a", 0), "b": contestant("b", 2)}, 3)
    assert calls == ["a", "b"] * 4
    assert rates == {"a": Rate(12, 12, 12), "b": Rate(4, 4, 4)}


def test_environments_play_whole_episodes_of_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are env steps that were really done: the simulators' clocks say so."""
    done: dict[str, int] = {}

    def once(contestants: Any, rounds: int) -> dict[str, Rate]:
        for name, contestant in contestants.items():
            done[name] = contestant()
        return dict.fromkeys(contestants, RATE)

    monkeypatch.setattr(environments, "interleave", once)
    monkeypatch.setattr(environments, "find_spec", lambda name: None)  # without envpool
    substeps: list[int] = []
    original = environments.mujoco.mj_step

    def count(model: Any, data: Any, nstep: int = 1) -> None:
        substeps.append(nstep)
        original(model, data, nstep=nstep)

    monkeypatch.setattr(environments.mujoco, "mj_step", count)
    environments.measure_environments("FetchReach-v4", (1, 3), (1, 2), rounds=1)
    ours = {f"ours_{n}x{t}": 50 * n for n in (1, 3) for t in (1, 2)}
    floors = dict.fromkeys(("floor", "floor_x2"), 150)
    assert done == {"gym_make": 50, "torchrl_gymenv": 50, "gymnasium_task": 150, **floors, **ours}
    assert substeps.count(20) >= 2 * 150


def test_every_task_is_measured_beside_its_floor(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task's floor steps its own model, and ours plays as many env steps as it."""
    done: dict[str, list[int]] = {}

    def once(contestants: Any, rounds: int) -> dict[str, Rate]:
        done[f"{len(done)}"] = [contestants[name]() for name in ("floor", "ours_2x1")]
        return dict.fromkeys(contestants, RATE)

    monkeypatch.setattr(environments, "interleave", once)
    monkeypatch.setattr(environments, "TASKS", ("FetchReach-v4", "rher_pl/FetchDrawerBox-v0"))
    monkeypatch.setattr(measure, "TASK_ENVS", 2)
    found = measure.tasks(measure.Subject(Path("any.yaml"), settings, measure.QUICK))
    assert [*done.values()] == [[100, 100], [120, 120]]
    assert found["task_env_steps_per_second"].keys() == {*environments.TASKS}


# --- updates -----------------------------------------------------------------------------------


def test_every_row_is_measured_on_each_number_of_threads(settings: Settings) -> None:
    before = torch.get_num_threads()
    options = settings | {"model": settings["model"] | {"critics": 3}}  # not for the C++
    rates = updates.measure_updates(options, 8, (1, 2), updates=2, rounds=1)
    rows = {"eager_fp32", "eager", "compile", "td3loss", "ours"}
    assert {count: set(found) for count, found in rates.items()} == {1: rows, 2: rows}
    assert rates[1]["ours"] is rates[1]["eager"]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("row", "expected"), [("eager_fp32", torch.float32), ("eager", None)])
def test_rows_learn_in_the_precision_they_name(
    settings: Settings, row: str, expected: torch.dtype | None
) -> None:
    settings["trainer"]["precision"] = "bf16-mixed"
    learn = updates.make_contestant(settings, row, batch_size=8, updates=2)
    assert learn.func.__self__.compute_type == (expected or torch.bfloat16)
    learn()
    assert learn.func.__self__.updates == 2


def test_torchrl_learns_from_the_same_batches(settings: Settings) -> None:
    learner = updates.make_learner(settings, Engine.eager, "32-true")
    batches = updates.make_batches(learner, 4, 16)
    sizes = (learner.sizes.inputs, learner.sizes.actions)
    theirs = TorchRLTD3(*sizes, settings["model"] | {"policy_delay": 2})
    parameters = [*theirs.loss.parameters()]
    before = [parameter.clone() for parameter in parameters]
    theirs.learn(TorchRLTD3.keys(batches))
    changed = [not torch.equal(a, b) for a, b in zip(parameters, before, strict=True)]
    trained = [parameter.requires_grad for parameter in parameters]
    assert all(changed) and sum(trained) == 2 * 4  # one actor, one stack of critics


def test_losses_are_compared_with_those_in_float32(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings["trainer"]["precision"] = "32-true"
    same = updates.loss_agreement(settings, 16, 2)
    assert all(worst < 1e-4 for worst in same.values())
    original = updates.make_learner

    def other(settings: Settings, engine: Engine, precision: str) -> Any:
        learner = original(settings, engine, precision)
        learner.gamma = 0.5 if engine == Engine.auto else learner.gamma
        return learner

    monkeypatch.setattr(updates, "make_learner", other)
    assert updates.loss_agreement(settings, 16, 2)["critic_loss"] > 0.01


# --- runs --------------------------------------------------------------------------------------


def test_the_environment_alone_plays_the_episodes_of_the_run() -> None:
    module = RHERModule("PointPush-v0", hidden_size=8, hidden_layers=1)
    env = make_env(module.task, 3, seed=7)
    exploration = Exploration(0.5, False, 0.2, 0.2, None)
    behavior = BehaviorPolicy(module.policy, MovingSuccess(2), exploration, env.max_episode_steps)
    collector = EpisodeCollector(LocalPlayer(env, behavior), run_seed=7)
    collector.collect()
    second = collector.collect()
    twin = make_env(get_task("PointPush-v0"), 3, seed=0)
    last = play(twin, episode_seeds(7, range(3, 6), Stream.ENVIRONMENT), second["action"])
    assert torch.equal(last["achieved_goals"], second["achieved_goals"][:, -1])
    other = play(twin, episode_seeds(7, range(3), Stream.ENVIRONMENT), second["action"])
    assert not torch.equal(other["achieved_goals"], second["achieved_goals"][:, -1])


def test_the_updates_alone_are_by_a_learner_of_the_same_kind() -> None:
    module = RHERModule("PointPush-v0", hidden_size=8, hidden_layers=1, policy_delay=3)
    state = torch.get_rng_state()
    twin = make_twin(module)
    assert torch.equal(torch.get_rng_state(), state), "the run draws what it would without it"
    assert twin is not module.td3 and type(twin) is type(module.td3)
    twin.load_state_dict(module.td3.state_dict())
    batches = updates.make_batches(module.td3, 6, 16)
    assert agrees(twin, module.td3, batches)


def test_an_iteration_is_taken_apart(small_config: Path) -> None:
    found = runs.measure_iteration(small_config, epochs=4)
    parts = {"collecting", "sampling and relabelling", "encoding", "updating", "recording"}
    assert found["parts"].keys() == parts | {"evaluation", "checkpoints"}
    alone = [found[name] for name in ("loop", "environment", "updates", "over_parts")]
    assert min(*alone, *found["parts"].values()) > 0
    # All of a run, and no more than it: parts overlap with nothing when collected in turn.
    assert sum(found["parts"].values()) < found["whole"]


def test_trainings_do_the_same_work(small_config: Path) -> None:
    _, done = runs.train_ours(small_config, 25, episodes=4, updates_per_episode=3)
    assert done == 4 * 3
    pytest.importorskip("stable_baselines3")
    model = resolve(small_config, {})["model"]
    _, done = train_sb3("FetchReach-v4", model, 16, episodes=4, updates_per_episode=3)
    assert done == 4 * 3


def test_two_checkouts_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def time_command(config: Path, checkout: Path, options: Any) -> tuple[float, float]:
        calls.append(checkout.name)
        here = checkout == Path.cwd()
        return (3.0 if here else 2.0) * len(calls), 1.0 if here else 4.0

    monkeypatch.setattr(runs, "time_command", time_command)
    found = runs.compare_checkouts(Path("configs/push.yaml"), tmp_path, epochs=2, rounds=2)
    assert calls == [Path.cwd().name, tmp_path.name] * 3
    assert found["command_seconds"] == {"here": [9.0, 15.0], "there": [8.0, 12.0]}
    assert found["command_here_over_there"] == pytest.approx((9 / 8 + 15 / 12) / 2)
    assert found["epoch_here_over_there"] == 0.25


def test_start_up_ends_at_the_first_env_step(small_config: Path, tmp_path: Path) -> None:
    probe = [sys.executable, "-c", startup.PROBE, "--config", str(small_config)]
    done = subprocess.run(
        [*probe, "--recorder.folder", str(tmp_path / "runs")], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("first env step")
    assert " env steps | " not in done.stdout, "nothing was trained"
    with pytest.raises(RuntimeError, match="no_such"):
        startup.first_step_seconds(tmp_path / "no_such.yaml")


# --- report ------------------------------------------------------------------------------------


@pytest.fixture
def results() -> measure.Results:
    rates = dict.fromkeys(("gym_make", "floor", "ours_1x1"), RATE)
    rows = {"eager_fp32": 2.0, "native": 9.0}
    iteration = {"loop": 1.2, "environment": 0.25, "updates": 0.75, "over_parts": 1.2}
    iteration |= {"whole": 1.5, "parts": {"recording": 0.02}}
    return {
        "cpu": "a CPU",
        "cpu_count": 2,
        "torch_threads": 2,
        "env_steps_per_second": measure.medians(rates),
        "env_steps_quartiles": measure.quartiles(rates),
        "task_env_steps_per_second": {"rher_pl/FetchStack-v0": {"floor": 10.0, "ours_16x1": 9.3}},
        "task_env_steps_quartiles": {"rher_pl/FetchStack-v0": {"ours_16x1": [9.0, 9.5]}},
        "updates_per_second_by_threads": {"2": rows},
        "updates_quartiles_by_threads": {"2": {row: [1.0, 3.0] for row in rows}},
        "iteration_seconds": {"sequential": iteration},
        "training_rounds": {"ours": [9.0, 10.0, 12.5], "sb3": [45.0]},
        "startup_seconds": 7.123456,
        "against": {
            "command_seconds": {"here": [9.0], "there": [10.0]},
            "command_here_over_there": 0.9,
        },
    }


def test_the_file_has_four_digits_and_is_written_in_one_step(
    tmp_path: Path, results: measure.Results
) -> None:
    path = tmp_path / "new" / "throughput.json"
    report.save(results, path)
    saved = json.loads(path.read_text())
    assert saved["startup_seconds"] == 7.123
    assert saved["env_steps_quartiles"]["floor"] == [1.0, 3.0]
    assert [file.name for file in path.parent.iterdir()] == ["throughput.json"]


def test_the_table_shows_everything_and_its_ratios(results: measure.Results) -> None:
    console = Console(width=110, record=True, quiet=True)
    console.quiet = False
    with console.capture() as capture:
        console.print(report.make_table(results))
    words = (
        "1.00 of floor",
        "4.50 of eager fp32",
        "1.20 of its parts",
        "recording",
        "0.93 of floor",
    )
    for each in (*words, "4.5 times", "9.0 to 12.5", "7.12 s", "0.900 of there"):
        assert each in capture.get(), each


def test_parts_that_were_not_measured_are_left_out(results: measure.Results) -> None:
    kept = {k: v for k, v in results.items() if not k.startswith(("iter", "train", "upd", "ag"))}
    table = report.make_table(kept)
    assert [*table.columns[0].cells][-1] == "start to first env step"


def test_the_parts_of_the_command_line_are_those_that_are_measured() -> None:
    assert measure.PARTS.keys() == {*throughput.PARTS}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "no.yaml"], "no config file no.yaml"),
        (["--only", "wings"], "wings"),
        (["--against", "/no/where"], "no checkout"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert throughput.main([*arguments, "--quick"]) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
