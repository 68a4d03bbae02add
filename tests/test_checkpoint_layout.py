"""What a checkpoint says, read back; anything of a wrong type is one line, not a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rher_pl.checkpoints.continuing import changed
from rher_pl.checkpoints.episodes import ROWS, read_episode
from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.checkpoints.info import make_info, read_info
from rher_pl.checkpoints.layout import Entry, read_entry, read_numerics, write_entry
from rher_pl.checkpoints.policy import EXPLORATION, policy_content, read_policy
from rher_pl.checkpoints.seal import seal
from rher_pl.checkpoints.upgrade import upgraded
from rher_pl.deploy.exploring import BEFORE
from rher_pl.envs.contract import Ending
from rher_pl.errors import ConfigError
from rher_pl.tasks import get_task

ENTRY = Entry(
    task="PointPush-v0",
    relay={"objects": ["push"], "epsilon": 0.07, "reach": True, "order": None},
    layout=["gripper x", "gripper y", "-"],
    action_size=2,
    env_steps=100,
    episodes=2,
    updates=7,
    success=[[0.0, 0.5], [0.25]],
    engine="eager",
    rng_state=torch.get_rng_state(),
)
EPISODES, LENGTH = 3, 4


def make_content(cursor: int = 1) -> dict[str, Any]:
    """A content as the trainer saves it; the first number of an episode is its row."""
    rows = torch.arange(float(EPISODES)).view(-1, 1, 1)
    episodes = {
        "observation": rows.expand(EPISODES, LENGTH + 1, 3).clone(),
        "achieved_goals": torch.zeros(EPISODES, LENGTH + 1, 2, 3),
        "desired_goals": torch.zeros(EPISODES, 1, 3),
        "action": torch.zeros(EPISODES, LENGTH, 2),
        "length": torch.full((EPISODES, 1), LENGTH),
        "ending": torch.ones(EPISODES, 1, dtype=torch.uint8),
    }
    content: dict[str, Any] = {
        "header": {"format": 2, "versions": {"rher_pl": "0.2.0", "torch": "2.13.0"}},
        "hyper_parameters": {"gamma": 0.9, "task": "PointPush-v0", "_instantiator": "os.abort"},
        "datamodule_hyper_parameters": {
            "task": "PointPush-v0",
            "seed": 3,
            "batch_size": [1, 2],
            "guide_share": 0.5,
            "reached_distance": None,
        },
        "state_dict": {
            "encoder.goals.shift": torch.zeros(2),
            "td3.averaged_actor.net.weight_0": torch.ones(1, 3, 2),
            "td3.critic.net.weight_0": torch.ones(2, 3, 2),
        },
        "optimizer_states": [],
        "callbacks": {"RunRecorder": {"run_id": "abc"}},
        "numerics": {"precision": "32-true", "engine": "eager"},
        "RelayDataModule": {"storage": {"episodes": episodes, "cursor": cursor}},
        "loops": {"fit_loop": {"state_dict": {"combined_loader": {"storage": 0}}}},
    }
    write_entry(content, ENTRY)
    return content


# --- what is written is read ---------------------------------------------------------------------


def test_an_entry_is_read_as_it_was_written() -> None:
    content = make_content()
    assert read_entry(content, "x") == ENTRY
    assert content["loops"]["fit_loop"]["state_dict"] == {}, "the replay is saved once"
    assert ENTRY.counters == {"env_steps": 100, "episodes": 2, "updates": 7}


def test_a_checkpoint_tells_of_its_run(tmp_path: Path) -> None:
    path = str(tmp_path / "some.ckpt")
    write_checkpoint(make_content(), Path(path))
    info = read_info(path)
    assert (info.path, info.run_id, info.format) == (path, "abc", 2)
    assert info.options == {
        "data.task": "PointPush-v0",
        "data.batch_size": [1, 2],
        "data.guide_share": 0.5,
        "data.reached_distance": None,
        "model.gamma": 0.9,
        "seed_everything": 3,
        "trainer.precision": "32-true",
    }
    assert info.shapes["td3.critic.net.weight_0"] == torch.Size([2, 3, 2])
    assert info.has_training_state
    assert info.versions == {"rher_pl": "0.2.0", "torch": "2.13.0"}
    assert changed(info.options, {"model.gamma": 0.9, "data.num_threads": 4}) == []
    assert changed(info.options, {"model.gamma": 0.8}) == ["model.gamma"]


@pytest.mark.parametrize("missing", ["optimizer_states", "RelayDataModule"])
def test_a_checkpoint_without_training_state_says_so(missing: str) -> None:
    content = make_content()
    del content[missing]
    assert not make_info(content, "x").has_training_state


def test_a_policy_is_its_own_tensors_and_options() -> None:
    stored = read_policy(make_content(), "x")
    assert set(stored.tensors) == {"encoder.goals.shift", "actor.net.weight_0"}
    assert stored.options == {"gamma": 0.9, "task": "PointPush-v0"}, "nothing that could be called"
    assert stored.exploration == {"guide_share": 0.5, "reached_distance": None}
    assert stored.entry.rng_state is None


def test_a_policy_cut_out_is_read_as_the_same(tmp_path: Path) -> None:
    stored = read_policy(make_content(), "x")
    write_checkpoint(policy_content(stored), tmp_path / "policy.ckpt")
    content = read_checkpoint_file(tmp_path / "policy.ckpt")
    again = read_policy(content, "x")
    assert (again.entry, again.options, again.exploration) == (
        stored.entry,
        stored.options,
        stored.exploration,
    )
    assert all(torch.equal(again.tensors[name], value) for name, value in stored.tensors.items())
    assert "td3.critic.net.weight_0" not in content["state_dict"]
    assert not make_info(content, "x").has_training_state


def test_episodes_are_counted_from_the_oldest() -> None:
    def which(cursor: int, number: int) -> float:
        return float(read_episode(make_content(cursor), number, "x")["observation"][0, 0])

    assert [which(3, n) for n in (0, 2, -1, -3)] == [0, 2, 2, 0]  # not full yet
    assert [which(1, n) for n in (0, 2, -1, -3)] == [1, 0, 0, 1]  # full: row 0 was rewritten
    with pytest.raises(ConfigError, match=r"3 episodes: --episode must be in \[-3, 2\]"):
        which(1, 3)


# --- what is wrong is one line -------------------------------------------------------------------


def information(content: Any) -> None:
    make_info(content, "some.ckpt")


def policy(content: Any) -> None:
    read_policy(content, "checkpoint some.ckpt")


def episode(content: Any) -> None:
    read_episode(content, 0, "checkpoint some.ckpt")


def numerics(content: Any) -> None:
    read_numerics(content, "checkpoint some.ckpt")


STORED = "RelayDataModule.storage.episodes"
MISSING: Any = object()
NESTED = "a list that, walked through, has 2^60 items"
WRONG: list[tuple[Callable[[Any], None], str, Any, str]] = [
    *(
        (read, "rher_pl", value, "rher_pl")
        for read in (information, policy)
        for value in (None, {})
    ),
    *((read, "rher_pl.task", ["a"], "rher_pl.task") for read in (information, policy)),
    (policy, "rher_pl.task", "\x1b[31mred", "rher_pl.task"),
    (policy, "rher_pl.task", "x" * 1_000_000, "rher_pl.task"),
    (policy, "rher_pl.task", MISSING, "no rher_pl.task"),
    (policy, "rher_pl.relay", [["push"]], "rher_pl.relay"),
    (policy, "rher_pl.relay", {"objects": {"a": 1}}, "rher_pl.relay.objects"),
    (policy, "rher_pl.relay", {"objects": ["push", "push"]}, "not a valid relay"),
    (policy, "rher_pl.relay", {"objects": ["push"], "epsilon": "near"}, "not a valid relay"),
    (policy, "rher_pl.relay", {"objects": ["push"], "stages": 3}, "not a valid relay"),
    (policy, "rher_pl.relay", {"objects": [str(n) for n in range(9_000)]}, "not a valid relay"),
    (policy, "rher_pl.layout", ["elbow"], "not a valid layout"),
    (policy, "rher_pl.layout", "gripper x", "rher_pl.layout"),
    (policy, "rher_pl.layout", [1, 2], "rher_pl.layout"),
    (policy, "rher_pl.action_size", -1, "rher_pl.action_size"),
    (policy, "rher_pl.env_steps", 1.5, "rher_pl.env_steps"),
    (policy, "rher_pl.updates", True, "rher_pl.updates"),
    (policy, "rher_pl.success", [0.5], "rher_pl.success"),
    (policy, "rher_pl.engine", None, "rher_pl.engine"),
    (information, "rher_pl.rng_state", [1], "rher_pl.rng_state"),
    *((read, "state_dict", None, "state_dict") for read in (information, policy)),
    (information, "state_dict", {1: torch.zeros(1)}, "state_dict"),
    (information, "state_dict.more", 3, "state_dict.more"),
    (policy, "state_dict", {}, "no encoder"),
    (
        policy,
        "state_dict.td3.averaged_actor.net.weight_0",
        torch.tensor([torch.nan]),
        "diverged",
    ),
    (policy, "hyper_parameters", MISSING, "hyper_parameters"),
    (policy, "hyper_parameters.gamma", NESTED, "hyper_parameters.gamma is a list"),
    (information, "datamodule_hyper_parameters", 3, "datamodule_hyper_parameters"),
    (information, "header.versions", ["torch"], "header.versions"),
    (information, "header.versions.torch", "x" * 1_000_000, "header.versions.torch"),
    (information, "callbacks", [], "callbacks"),
    (information, "callbacks.RunRecorder.run_id", 7, "callbacks.RunRecorder.run_id"),
    (numerics, "numerics", "fast", "numerics"),
    (numerics, "numerics.engine", 3, "numerics.engine"),
    (episode, "RelayDataModule", MISSING, "no episodes"),
    (episode, "RelayDataModule.storage", 5, "RelayDataModule.storage"),
    (episode, f"{STORED}.action", MISSING, f"no {STORED}.action"),
    (episode, f"{STORED}.action", torch.zeros(0, 4, 2), "no episodes"),
    (episode, f"{STORED}.action", torch.zeros(3, 5, 2), "observation is"),
    (episode, f"{STORED}.observation", torch.zeros(2, 5, 3), "observation is"),
    (episode, f"{STORED}.achieved_goals", torch.zeros(3, 5, 2, 2), "achieved_goals is"),
    (episode, f"{STORED}.length", torch.full((3, 1), 9), "longer than 4 steps"),
    (episode, "RelayDataModule.storage.cursor", "1", "RelayDataModule.storage.cursor"),
]


def nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    return value


def put(content: dict[str, Any], place: str, value: Any) -> None:
    """Set or delete what a dotted ``place`` names; a tensor's own name has dots too."""
    inside, _, rest = place.partition(".")
    if rest and inside != "state_dict":
        put(content[inside], rest, value)
    elif rest:
        content[inside][rest] = value
    elif value is MISSING:
        del content[inside]
    else:
        content[inside] = value


@pytest.mark.parametrize(
    ("read", "place", "value", "hint"), WRONG, ids=[f"{n}-{row[1]}" for n, row in enumerate(WRONG)]
)
def test_a_wrong_value_is_one_line(
    read: Callable[[Any], None], place: str, value: Any, hint: str
) -> None:
    content = make_content()
    read(content)
    put(content, place, nested() if value is NESTED else value)
    with pytest.raises(ConfigError) as refusal:
        read(content)
    line = str(refusal.value)
    assert hint in line and "some.ckpt" in line
    assert line.isprintable() and len(line) <= 300, line


@pytest.mark.parametrize("content", [None, [], 3, {}, {"header": 3}])
def test_another_programs_file_is_refused(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "foreign.ckpt"
    torch.save(content, path)
    with open(path, "rb+") as file:
        seal(file)
    with pytest.raises(ConfigError, match=r"foreign\.ckpt"):
        read_checkpoint_file(path)


# --- earlier formats -----------------------------------------------------------------------------


def format_1() -> dict[str, Any]:
    """As rher_pl 0.1 saved a whole state."""
    content = make_content()
    content["header"]["format"] = 1
    content["rher_pl"] = {
        "task": "PointPush-v0",
        "relay": [["reach", [["Position", 1]], 0.07]],
        "env_steps": 100,
        "updates": 7,
        "episodes": 2,
        "progress": {"recent": [[0.5], [0.25]]},
        "rng_state": torch.get_rng_state(),
    }
    names = ("policy.actor.", "critic.", "target_actor.", "target_critic.", "averaged_actor.")
    content["state_dict"] = {
        f"{name}net.weight_0": torch.full((2, 2), float(n)) for n, name in enumerate(names)
    }
    content["state_dict"] |= {"policy.encoder.goals.shift": torch.full((2,), 9.0)}
    content["hyper_parameters"] |= {"compiled": None, "learned_threshold": 0.8, "relay": "full"}
    for name in ("length", "ending"):
        del content["RelayDataModule"]["storage"]["episodes"][name]
    return content


def test_format_1_says_the_same_in_the_present_one() -> None:
    before = format_1()
    content = upgraded(before, "x")
    task = get_task("PointPush-v0")
    entry = read_entry(content, "x")
    assert (entry.relay, entry.layout) == (task.relay.to_dict(), task.layout.to_list())
    assert (entry.action_size, entry.success) == (2, [[0.5], [0.25]])
    assert entry.counters == {"env_steps": 100, "episodes": 2, "updates": 7}
    networks = ("actor", "critic", "target_actor", "target_critic", "averaged_actor")
    assert {name: float(value.flatten()[0]) for name, value in content["state_dict"].items()} == {
        "encoder.goals.shift": 9.0,
        **{f"td3.{name}.net.weight_0": float(n) for n, name in enumerate(networks)},
    }
    episode = read_episode(content, 0, "x")
    assert (int(episode["length"]), int(episode["ending"])) == (LENGTH, Ending.TIME)
    info = make_info(content, "x")
    assert info.format == 1 and info.versions == before["header"]["versions"]
    assert "model.learned_threshold" not in info.options
    assert set(before["RelayDataModule"]["storage"]["episodes"]) == set(ROWS) - {"length", "ending"}


@pytest.mark.parametrize(
    ("compiled", "engine"), [(False, "eager"), (None, "auto"), (True, "auto"), ("x", "auto")]
)
def test_what_compiled_said_is_an_engine(compiled: Any, engine: str) -> None:
    content = format_1()
    content["hyper_parameters"]["compiled"] = compiled
    options = make_info(upgraded(content, "x"), "x").options
    assert options["model.engine"] == engine and "model.compiled" not in options


def test_plain_her_of_format_1_keeps_its_short_relay() -> None:
    content = format_1()
    content["hyper_parameters"]["relay"] = "none"
    relay = read_entry(upgraded(content, "x"), "x").relay
    assert relay == get_task("PointPush-v0").relay.only_last().to_dict()


def test_a_policy_of_format_1_is_read() -> None:
    path = Path(__file__).parent / "data" / "push_0_1.ckpt"  # as version 0.1 shipped it
    content = torch.load(path, weights_only=True)
    assert content["header"]["format"] == 1
    stored = read_policy(read_checkpoint_file(path), "push_0_1.ckpt")
    assert stored.entry.task.startswith("Fetch") and stored.entry.env_steps > 0
    assert set(stored.exploration) == set(EXPLORATION) - set(BEFORE)
    before = {k.partition(".net.")[2] or k for k in content["state_dict"]}
    assert {k.partition(".net.")[2] or f"policy.{k}" for k in stored.tensors} == before


@pytest.mark.parametrize(
    ("place", "value", "hint"),
    [
        ("rher_pl.task", "Nothing-v0", "unknown task"),
        ("rher_pl.progress", MISSING, "no rher_pl.progress"),
        ("state_dict", [], "state_dict is a list"),
        ("header", {"format": 3}, "reads 1 to 2"),
        (f"{STORED}.action", torch.zeros(1), "action is a Tensor"),
        ("hyper_parameters", None, "hyper_parameters"),
    ],
)
def test_a_wrong_value_in_format_1_is_one_line(place: str, value: Any, hint: str) -> None:
    content = format_1()
    put(content, place, value)
    with pytest.raises(ConfigError, match=hint):
        upgraded(content, "checkpoint some.ckpt")


def test_a_policy_is_loaded_without_trainer_and_simulator() -> None:
    """Their imports take seconds each."""
    code = "import sys; from rher_pl.deploy.trained import load_policy; load_policy('push')\n"
    code += "print(*{'lightning', 'torchrl', 'mlflow', 'mujoco'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.strip() == ""
