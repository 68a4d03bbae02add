"""Exported policies act as the live one, and a wrong one is found out."""

from __future__ import annotations

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import rher_pl.deploy.formats
from rher_pl.deploy.card import lengths, make_card
from rher_pl.deploy.formats import FORMATS
from rher_pl.deploy.mlflow_model import save_mlflow_model
from rher_pl.deploy.parity import TOLERANCE, parity_gap, stratified_states
from rher_pl.deploy.portable import INPUTS, PortablePolicy
from rher_pl.deploy.pretrained import card_file, known_policies, policy_file
from rher_pl.deploy.trained import load_policy
from rher_pl.deploy.usage import episode
from rher_pl.envs.contract import STATE_KEYS
from rher_pl.evaluation.report import wilson_interval
from rher_pl.export import main
from rher_pl.networks.actor_critic import Actor, NetworkSizes
from rher_pl.networks.encoder import InputEncoder
from rher_pl.networks.policy import RelayPolicy
from rher_pl.tasks import get_task, known_tasks
from rher_pl.training.module import RHERModule


def test_every_format_is_checked_against_the_live_policy(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--ckpt", str(checkpoint), "--out", str(tmp_path), "--name", "point"]
    assert main([*arguments, "--episodes", "5", "--to", *FORMATS, "mlflow", "pretrained"]) == 0
    out = capsys.readouterr().out
    assert out.count(": ok\n") == 5 and out.count("on 1000 states") == 5
    suffixes = {path.name for path in tmp_path.iterdir()}
    assert suffixes == {
        f"point{end}" for end in (".onnx", ".ts", ".pt2", "_mlflow", ".ckpt", ".md")
    }
    trained = load_policy(checkpoint)
    for count in (1, 7):  # the batch is free
        inputs = stratified_states(trained.portable, count, seed=count)
        for name, form in FORMATS.items():
            actions = form.read(tmp_path / f"point{form.suffix}")(*inputs)
            assert (actions - trained.portable(*inputs)).abs().max() < TOLERANCE, name


def test_a_saved_model_needs_no_type_hints(
    checkpoint: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    save_mlflow_model(load_policy(checkpoint).portable, tmp_path / "model", card="")
    assert (tmp_path / "model" / "MLmodel").is_file()
    assert not [warning for warning in recwarn if "type hints" in str(warning.message)]


def test_a_wrong_file_is_found_out(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = load_policy(checkpoint)

    def wrong(*inputs: torch.Tensor) -> torch.Tensor:
        return trained.portable(*inputs) + 2 * TOLERANCE

    assert parity_gap(trained.portable, wrong) > TOLERANCE
    broken = rher_pl.deploy.formats.Format(".ts", FORMATS["torchscript"].write, lambda path: wrong)
    monkeypatch.setitem(FORMATS, "torchscript", broken)
    arguments = ["--ckpt", str(checkpoint), "--out", str(tmp_path), "--episodes", "0"]
    assert main([*arguments, "--to", "torchscript"]) == 1


def test_a_missing_package_is_named_with_the_command(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    arguments = ["--ckpt", str(checkpoint), "--out", str(tmp_path), "--episodes", "0"]
    assert main([*arguments, "--to", "onnx"]) == 2
    assert "pip install onnx onnxruntime onnxscript" in capsys.readouterr().err


def test_five_lines_of_gymnasium_play_the_evaluated_episode() -> None:
    """The same actions and states as the batched environment under the live policy."""
    torch.manual_seed(0)
    module = RHERModule("FetchPush-v4", hidden_size=16, hidden_layers=1)
    policy = PortablePolicy(module.evaluated_policy).requires_grad_(False)
    batched = get_task("FetchPush-v4").make_env(1, 5)
    state = batched.reset()
    env = gymnasium.make("FetchPush-v4")
    observation, _ = env.reset(seed=5)
    for _ in range(5):
        given = (torch.from_numpy(observation[key]) for key in INPUTS)
        action = policy(*given).numpy()
        with torch.no_grad():
            live = module.evaluated_policy.act(*(state[key] for key in STATE_KEYS))
        assert np.abs(action - live[0].numpy()).max() < TOLERANCE
        observation, *_ = env.step(action)
        state["action"] = torch.from_numpy(action).unsqueeze(0)
        state = batched.step(state)["next"]
    env.close()


def test_the_card_says_how_well_and_of_what() -> None:
    def figures(solved: int, episodes: int) -> dict:
        return {
            "solved": solved,
            "episodes": episodes,
            "success": solved / episodes,
            "interval_95": list(wilson_interval(solved, episodes)),
            "mean_steps_to_success": 9.0,
        }

    groups = {"not_solved_at_reset": figures(90, 92), "solved_at_reset": figures(8, 8)}
    groups |= {"all": figures(98, 100), "fates": {}}
    sizes = {"observation": 25, "achieved_goal": 3, "desired_goal": 3}
    counters = {"env_steps": 60_000, "episodes": 1_200, "updates": 47_400}
    card = make_card(
        "FetchPush-v4",
        sizes,
        4,
        counters,
        {"push": groups},
        "seeds 1 to 100",
        {"torch": "2"},
    )
    assert "**0.978 [0.924, 0.994]**" in card and "60,000 env steps" in card and "torch 2" in card
    assert "`observation` [N, 25], `achieved_goal` [N, 3]" in card and "action [N, 4]" in card
    assert "| push | 90 of 92 | 0.978 | [0.924, 0.994] | 9.0 | 8 of 8 |" in card


@pytest.mark.parametrize("name", [n for n in known_tasks() if get_task(n).gymnasium_id])
def test_points_are_found_in_the_observations_of_gymnasium(name: str) -> None:
    """The tip of Insert and the handle of a drawer as well: an export sees what was trained on."""
    task = get_task(name)
    encoder = InputEncoder(task.relay, task.layout)
    policy = PortablePolicy(RelayPolicy(encoder, Actor(NetworkSizes(encoder.size, 4, 8, 1))))
    state, _ = gymnasium.make(task.gymnasium_id).reset(seed=5)
    inputs = [torch.from_numpy(state[key]).float() for key in INPUTS]
    assert policy.sizes == {key: len(state[key]) for key in INPUTS}
    batched = task.make_env(1, 5).reset()
    assert torch.equal(policy.interface.points(*inputs[:2]), batched["achieved_goals"][0])


@pytest.mark.parametrize(
    ("task", "lines"),
    [
        ("FetchStack-v0", ('gym.make("rher_pl/FetchStack-v0")', "in range(60)")),
        ("FetchPush-v4", ('gym.make("FetchPush-v4")', "in range(50)")),
    ],
)
def test_a_card_says_how_to_play_an_episode_of_its_task(task: str, lines: tuple[str]) -> None:
    one = {"episodes": 1, "solved": 1, "success": 1.0, "interval_95": [0.2, 1.0]}
    groups = dict.fromkeys(("not_solved_at_reset", "solved_at_reset", "all"), one)
    groups = {key: value | {"mean_steps_to_success": 1.0} for key, value in groups.items()}
    groups["fates"] = {}
    counters = {"env_steps": 1, "episodes": 1, "updates": 1}
    card = make_card(
        task,
        {"observation": 3},
        4,
        counters,
        {"bring": groups},
        "seed 1",
        {},
        episode("mine", get_task(task)),
    )
    assert all(line in card for line in lines)


def test_the_lines_of_a_card_act_as_the_live_policy(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each kind of file, on numbers as Gymnasium gives them; TorchScript takes float32 too."""
    arguments = ["--ckpt", str(checkpoint), "--out", str(tmp_path), "--name", "point"]
    assert main([*arguments, "--episodes", "1", "--to", *FORMATS, "mlflow", "pretrained"]) == 0
    trained = load_policy(checkpoint)
    inputs = [value[0].double().numpy() for value in stratified_states(trained.portable, 1)]
    observation = dict(zip(INPUTS, inputs, strict=True))
    card = (tmp_path / "point.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", card, re.S)
    assert len(blocks) == len(FORMATS) + 2
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        assert len(block.strip().splitlines()) <= 6
        names: dict = {"observation": observation}
        exec(block, names)
        assert np.abs(names["action"] - trained(observation)).max() < TOLERANCE, block
        assert names["action"].shape == (2,)


@pytest.mark.parametrize("name", [n for n in known_tasks() if get_task(n).gymnasium_id])
def test_the_units_of_actions_are_those_of_the_environment(name: str) -> None:
    """One step of a full action moves the place where the arm is dragged to by that much."""
    task = get_task(name)
    env = gymnasium.make(task.gymnasium_id).unwrapped
    env.reset(seed=0)
    step = getattr(env, "max_action", 0.05)  # 0.05 in gymnasium-robotics' own `_set_action`
    assert f"by {step} m a step" in task.actions
    assert env.dt == pytest.approx(1 / 25)
    env.close()


@pytest.mark.parametrize("name", known_policies())
def test_a_policy_that_comes_with_the_package(name: str) -> None:
    trained = load_policy(name)
    assert policy_file(name).stat().st_size < 1_000_000
    card = card_file(name).read_text()
    assert lengths(trained.portable.sizes) in card
    assert trained.task.name in card and f"{trained.counters['env_steps']:,} env steps" in card
    assert parity_gap(trained.portable, trained.portable) <= TOLERANCE


def test_the_lines_in_the_readme_solve_the_task() -> None:
    """The shipped policy in plain Gymnasium, and the same lines on its card."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    code = readme.partition("<!-- the test of the README runs this -->\n```python\n")[2]
    code = code.partition("```")[0]
    names: dict = {}
    exec(code, names)
    assert names["info"]["is_success"] == 1.0
    lines = [line.partition("  #")[0] for line in code.strip().splitlines()]
    assert "\n".join(lines) in card_file("push").read_text()
