"""Sharing on the Hugging Face Hub: what is pushed comes back as it was, and nothing else goes."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from hub_server import Commit, Hub, Repository
from huggingface_hub import ModelCard, constants
from odd_gymnasium import OddEnv, still
from test_gymnasium_task import odd
from trained import train

from rher_pl import ConfigError, load_policy
from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.checkpoints.layout import DATA, ENTRY, HEADER, MODEL, TENSORS
from rher_pl.checkpoints.policy import policy_content
from rher_pl.deploy.parity import stratified_states
from rher_pl.deploy.pretrained import policy_file
from rher_pl.evaluate import main as evaluate
from rher_pl.evaluation import CARD_SEED
from rher_pl.export import main as export
from rher_pl.own_modules import OWN
from rher_pl.push_to_hub import main as push

FILES = ["README.md", "policy.ckpt", "replay.mp4"]
PAGE = Path(__file__).parents[1] / "docs" / "sharing.md"
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub of this test, for this process and for those that it starts, and an empty cache."""
    server = Hub()
    settings = {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": "hf_writes",
        "HF_HUB_DISABLE_XET": "1",  # the stand-in speaks Git LFS alone
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.MonkeyPatch.context() as patch:
        for name, text in settings.items():
            patch.setenv(name, text)
        importlib.reload(constants)  # variables are read when it is imported
        yield server
    importlib.reload(constants)
    server.close()


def pushed(path: Path, *more: str, repo: str = "me/point") -> int:
    options = ["--repo", repo, "--episodes", "5", "--view", "top"]
    return push(["--ckpt", str(path), *options, *more])


def actions(policy: Any) -> torch.Tensor:
    """In states of every kind."""
    found: torch.Tensor = policy.portable(*stratified_states(policy.portable, 100))
    return found


def card(hub: Hub, repo: str) -> str:
    return hub.repositories[repo].commits[-1].files["README.md"].decode()


# --- there and back ------------------------------------------------------------------------------


def test_what_is_pushed_comes_back_bit_for_bit(hub: Hub, checkpoint: Path) -> None:
    assert pushed(checkpoint, "--no_video") == 0
    (commit,) = hub.repositories["me/point"].commits
    assert commit.added == sorted(commit.files) == FILES[:2] and not commit.deleted
    assert not hub.repositories["me/point"].private
    loaded, original = load_policy("hf://me/point"), load_policy(checkpoint)
    assert torch.equal(actions(loaded), actions(original))
    assert loaded.stored.entry == replace(original.stored.entry, rng_state=None)
    assert repr(loaded).startswith("TrainedPolicy(hf://me/point: PointPush-v0")


def test_the_card_says_how_well(hub: Hub, checkpoint: Path) -> None:
    assert pushed(checkpoint, "--license", "mit", "--no_video") == 0
    found = load_policy(checkpoint).evaluate(5, seed=CARD_SEED)
    read = ModelCard(card(hub, "me/point")).data
    assert (read.license, read.library_name) == ("mit", "rher_pl")
    assert {"robotics", "reinforcement-learning", "PointPush-v0"} <= set(read.tags)
    every, *_ = read.eval_results
    assert (every.metric_type, every.metric_value) == ("success", found.success)
    assert tuple(every.metric_args["interval_95"]) == found.interval
    assert every.dataset_name == "PointPush-v0" and every.task_type == "reinforcement-learning"
    low, high = found.interval
    assert f"over all 5: {found.success:.3f} [{low:.3f}, {high:.3f}]" in card(hub, "me/point")
    assert "seeds 3,000,000 to 3,000,004, none of which was used" in card(hub, "me/point")
    (program,) = PROGRAM.findall(card(hub, "me/point"))  # of a task that Gymnasium does not know
    assert 'load_policy("hf://me/point").evaluate(episodes=100)' in program
    exec(program, {})
    message = hub.repositories["me/point"].commits[0].message
    assert message == f"PointPush-v0: success {found.success:.3f} [{low:.3f}, {high:.3f}]"


def test_programs_of_a_card_run(hub: Hub) -> None:
    arguments = ["--pretrained", "push", "--repo", "me/push", "--episodes", "2", "--no_video"]
    assert push(arguments) == 0
    (program,) = PROGRAM.findall(card(hub, "me/push"))
    names: dict[str, Any] = {}
    exec(program, names)
    assert names["env"].spec.id == "FetchPush-v4" and "is_success" in names["info"]
    expected = load_policy("push")(names["observation"])
    assert (names["policy"](names["observation"]) == expected).all()


def test_the_program_of_the_user_guide_runs(hub: Hub, checkpoint: Path) -> None:
    files = {"policy.ckpt": checkpoint.read_bytes()}
    hub.repositories["user/push-cube"] = Repository(False, [Commit("4" * 40, files, "", [], [])])
    (program,) = PROGRAM.findall(PAGE.read_text())
    assert "episodes=100" in program
    names: dict[str, Any] = {}
    exec(program.replace("episodes=100", "episodes=2"), names)
    assert names["policy"].task_name == "PointPush-v0"


def test_revisions_and_what_an_earlier_push_left(hub: Hub, checkpoint: Path) -> None:
    first = Commit("3" * 40, {n: policy_file("stack").read_bytes() for n in FILES}, "", [], [])
    hub.repositories["me/point"] = Repository(False, [first])
    assert pushed(checkpoint, "--no_video") == 0
    _, second = hub.repositories["me/point"].commits
    assert second.deleted == ["replay.mp4"] and sorted(second.files) == FILES[:2]
    assert load_policy("hf://me/point").task_name == "PointPush-v0"
    assert load_policy(f"hf://me/point@{first.id}").task_name == "FetchStack-v0"


def test_one_that_was_loaded_needs_no_connection(hub: Hub, checkpoint: Path) -> None:
    assert pushed(checkpoint, "--no_video") == 0
    before = actions(load_policy("hf://me/point"))
    hub.close()
    assert torch.equal(actions(load_policy("hf://me/point")), before)
    with pytest.raises(ConfigError, match=f"cannot reach {hub.url}, and it was not loaded here"):
        load_policy("hf://me/other")


def test_commands_take_it_by_its_address(
    hub: Hub, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pushed(checkpoint, "--no_video") == 0
    assert evaluate(["--ckpt", "hf://me/point", "--episodes", "2"]) == 0
    to = ["--to", "torchscript", "--episodes", "0"]
    assert export(["--pretrained", "hf://me/point", *to]) == 0
    assert capsys.readouterr().out.rstrip().endswith(": ok")
    assert evaluate(["--pretrained", "hf://me/none"]) == 2
    line = "error: hf://me/none: no such repository, or one that is not open to you"
    assert capsys.readouterr().err.startswith(line)


def test_the_script_does_it_in_a_process_of_its_own(hub: Hub, checkpoint: Path) -> None:
    """With nothing but variables of the environment."""
    command = [sys.executable, "-m", "rher_pl", "push-to-hub", "--ckpt", str(checkpoint)]
    more = ["--repo", "club/point", "--private", "--episodes", "2", "--no_video"]
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *more], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and 'load_policy("hf://club/point")' in done.stdout
    repository = hub.repositories["club/point"]
    assert repository.private and sorted(repository.commits[0].files) == FILES[:2]


# --- what goes, and what does not ----------------------------------------------------------------


def test_a_dry_run_makes_the_files_and_asks_nobody(hub: Hub, checkpoint: Path) -> None:
    assert pushed(checkpoint, "--dry_run", "--out", "files", "--no_video") == 0
    assert sorted(path.name for path in Path("files").iterdir()) == FILES[:2]
    assert hub.calls == []


def test_three_files_go_with_nothing_of_the_user_or_the_machine(
    hub: Hub, checkpoint: Path, tmp_path: Path
) -> None:
    """``hub``, where the files are made, holds one more, and the checkpoint's path is private."""
    Path("hub").mkdir()
    Path("hub/notes.txt").write_text("mine")
    assert pushed(checkpoint) == 0
    (commit,) = hub.repositories["me/point"].commits
    assert commit.added == sorted(commit.files) == FILES
    for name, uploaded in commit.files.items():
        for place in (str(tmp_path.parent), str(checkpoint.parent), "sqlite:", "mlruns"):
            assert place.encode() not in uploaded, f"{name} tells of {place}"
    with av.open("hub/replay.mp4") as video:
        frames = sum(1 for _ in video.decode(video=0))
    assert frames == 3 * (26 + 15)  # the states of three episodes, and each last one for a moment
    content = read_checkpoint_file(Path("hub/policy.ckpt"))
    assert set(content) == {HEADER, ENTRY, MODEL, DATA, TENSORS}  # neither replay nor optimizers
    assert all(name.startswith(("encoder.", "td3.averaged_actor.")) for name in content[TENSORS])
    assert len(commit.files["policy.ckpt"]) < checkpoint.stat().st_size / 2


def test_a_place_on_this_machine_is_refused(
    hub: Hub, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = load_policy(checkpoint).stored
    written = {"init_args": {"make_kwargs": {"scene": str(Path.home() / "scene.xml")}}}
    entry = replace(stored.entry, written=written)
    write_checkpoint(policy_content(replace(stored, entry=entry)), Path("placed.ckpt"))
    assert pushed(Path("placed.ckpt")) == 2
    assert "scene.xml' in the description of the policy's task" in capsys.readouterr().err
    assert not Path("hub").exists() and not hub.repositories


def test_an_environment_of_ones_own(hub: Hub, tmp_path: Path) -> None:
    """The card says what it needs; with that, program and command of the card work."""
    few: dict[str, Any] = {
        "num_envs": 2,
        "batch_size": 8,
        "updates_per_episode": 1,
        "eval_every_env_steps": 100,
    }
    made: dict[str, Any] = {"make_kwargs": {"table": 2.0}, "reset_options": {"near": 0.3}}
    task = odd(**made, wrappers=["odd_gymnasium:still"], max_episode_steps=20)
    train(1, save=tmp_path / "odd.ckpt", task=task, eval_episodes=2, eval_envs=2, **few)
    OWN.append("odd_gymnasium")  # as --import does
    assert pushed(tmp_path / "odd.ckpt", "--no_video", repo="me/odd") == 0
    text = card(hub, "me/odd")
    assert "It needs `odd_gymnasium`." in text
    assert "rher-pl evaluate --pretrained hf://me/odd --import odd_gymnasium" in text
    names: dict[str, Any] = {}
    (program,) = PROGRAM.findall(text)
    exec(program, names)
    assert (names["env"].unwrapped.table, names["env"].spec.max_episode_steps) == (2.0, 20)
    assert type(names["env"]) is type(still(OddEnv())), "wrapped as in training"
    assert names["policy"].task_name == "Odd-v0"
    assert "env.reset(seed=0, options={'near': 0.3})" in program
    assert evaluate(["--pretrained", "hf://me/odd", "--episodes", "2"]) == 0


# --- mistakes ------------------------------------------------------------------------------------

MISTAKES = [
    ("--repo", "me", {}, "'hf://me': write hf://user/name"),
    ("--repo", "me/a b", {}, "write hf://user/name"),
    ("--repo", "me/point@main", {}, "names a revision: write --repo me/point"),
    ("--repo", "you/point", {}, "is of me, who has no you: write --repo me/point"),
    ("--repo", "me/point", {"HF_TOKEN": ""}, "no token for the Hub: run `hf auth login`, or set"),
    ("--repo", "me/point", {"HF_TOKEN": "hf_wrong"}, "the Hub refuses the token"),
    ("--repo", "me/point", {"HF_TOKEN": "hf_reads"}, "the token only reads"),
    ("--repo", "me/open", {}, "public: make it private on its page, or leave --private out"),
    ("--license", "mine", {}, "--license 'mine': the Hub refuses it: write a short name"),
]


@pytest.mark.parametrize(("option", "value", "environment", "line"), MISTAKES, ids=str)
def test_a_mistake_is_one_line_before_anything_is_spent(
    option: str,
    value: str,
    environment: dict[str, str],
    line: str,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    hub.repositories["me/open"] = Repository(private=False)
    assert pushed(Path("never_opened.ckpt"), "--private", option, value) == 2
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1
    assert list(Path().iterdir()) == [] and not hub.repositories["me/open"].commits


def test_a_token_for_other_repositories(
    hub: Hub, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Hub refuses it only when something is written; the local files stay."""
    monkeypatch.setenv("HF_TOKEN", "hf_fine")
    assert pushed(checkpoint, "--no_video") == 2
    assert "hf://me/point: the token may not do that" in capsys.readouterr().err
    assert sorted(path.name for path in Path("hub").iterdir()) == FILES[:2]


def test_a_cache_that_cannot_be_written(hub: Hub, tmp_path: Path) -> None:
    files = {"policy.ckpt": policy_file("push").read_bytes()}
    hub.repositories["me/push"] = Repository(False, [Commit("5" * 40, files, "", [], [])])
    (tmp_path / "home").write_text("a file, not a folder")
    with pytest.raises(ConfigError, match="Not a directory: set HF_HOME to a folder"):
        load_policy("hf://me/push")


def test_a_hub_that_is_gone_is_one_line(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.close()
    assert pushed(Path("never_opened.ckpt")) == 2
    err = capsys.readouterr().err
    assert f"hf://me/point: cannot reach {hub.url}" in err and err.count("\n") == 1


def test_without_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert pushed(Path("never_opened.ckpt")) == 2
    line = "needs huggingface_hub, not installed here: pip install huggingface_hub"
    assert line in capsys.readouterr().err
    with pytest.raises(ConfigError, match="hf://me/point needs huggingface_hub"):
        load_policy("hf://me/point")
    assert load_policy("push").task_name == "FetchPush-v4"


@pytest.mark.parametrize(
    ("address", "token", "line"),
    [
        ("hf://me", "", "write hf://user/name"),
        ("hf://me/bare@", "", "write hf://user/name"),
        ("hf://me/none", "", "no such repository"),
        ("hf://me/secret", "", "one that is not open to you"),
        ("hf://me/none", "hf_wrong", "refuses the token"),
        ("hf://me/bare", "", "holds no policy.ckpt: name a repository that rher-pl push-to-hub"),
        ("hf://me/bare@v2", "", "has no revision v2: write a branch, a tag or a commit"),
    ],
)
def test_an_address_that_leads_nowhere(
    address: str, token: str, line: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    bare = Commit("1" * 40, {"README.md": b""}, "", [], [])
    hub.repositories |= {"me/bare": Repository(False, [bare]), "me/secret": Repository(True, [])}
    with pytest.raises(ConfigError, match=line) as refused:
        load_policy(address)
    assert "\n" not in str(refused.value)


class Harm:
    """Would make a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harm_done"),)


def test_a_file_with_code_is_refused_and_not_run(hub: Hub) -> None:
    torch.save({"state_dict": Harm()}, "harm.ckpt")
    files = {"policy.ckpt": Path("harm.ckpt").read_bytes()}
    hub.repositories["you/harm"] = Repository(False, [Commit("2" * 40, files, "", [], [])])
    with pytest.raises(ConfigError, match="holds code or foreign types"):
        load_policy("hf://you/harm")
    assert not Path("harm_done").exists()
