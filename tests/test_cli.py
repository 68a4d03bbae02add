"""The command line: help, config, exit status 2 with one line for each mistake."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mujoco
import pytest
import yaml
from cli_config import write_config

from rher_pl.checkpoints.file import write_checkpoint
from rher_pl.cli.fit_cli import Parser
from rher_pl.cli.messages import explain
from rher_pl.fit import HELP, main

PACKAGE_ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Path of the tiny config; what a run writes stays in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    return write_config(tmp_path)


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from rher_pl.fit import main; status = main(sys.argv[1:])\n"
    code += "print('torch' in sys.modules, file=sys.stderr); sys.exit(status)"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE_ROOT, check=False)


def assert_refused(
    arguments: list[str], hints: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2 and exactly one line on stderr, with every hint in it."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and captured.err.startswith("error: "), captured.err
    for hint in hints:
        assert hint in captured.err


# --- help and config ---------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_quick_and_imports_no_torch(option: str) -> None:
    begin = time.perf_counter()
    done = run_module(option)
    assert time.perf_counter() - begin < 2.0
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
    assert done.stderr == "False\n"


def test_every_option_in_the_help_exists(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", config, "--help"])
    assert stop.value.code == 0
    full = capsys.readouterr().out
    options = [line.split() for line in HELP.splitlines() if line.startswith("  --")]
    assert len(options) > 10
    for words in options:
        assert words[0] in full, words[0]


def test_print_config_round_trip(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def resolve(path: str, *overrides: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["--config", path, *overrides, "--print_config"])
        assert stop.value.code == 0
        return capsys.readouterr().out

    first = resolve(config, "--model.gamma", "0.95", "--data.num_envs=16")
    values = yaml.safe_load(first)
    assert values["model"]["gamma"] == 0.95
    assert values["data"]["num_envs"] == 16
    assert values["trainer"]["max_epochs"] == 2
    assert values["trainer"]["num_sanity_val_steps"] == 0
    (tmp_path / "printed.yaml").write_text(first)
    assert resolve(str(tmp_path / "printed.yaml")) == first


def test_a_choice_is_one_line_of_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    lines = "data: {relay: none, hindsight: final}\nmodel: {algorithm: ddpg, mixing: sequential}\n"
    Path("choices.yaml").write_text(lines + "trainer: {max_epochs: 1}\n")
    with pytest.raises(SystemExit):
        main(["--config", "choices.yaml", "--print_config"])
    values = yaml.safe_load(capsys.readouterr().out)
    assert (values["data"]["relay"], values["data"]["hindsight"]) == ("none", "final")
    assert (values["model"]["algorithm"], values["model"]["mixing"]) == ("ddpg", "sequential")


@pytest.mark.parametrize("name", ["reach", "push", "pick_and_place"])
def test_shipped_configs_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = PACKAGE_ROOT / "configs" / f"{name}.yaml"
    with pytest.raises(SystemExit) as stop:
        main(["--config", str(path), "--print_config"])
    assert stop.value.code == 0
    values = yaml.safe_load(capsys.readouterr().out)
    assert values["data"]["eval_every_env_steps"] == 2_500
    assert values["trainer"]["max_epochs"] >= 1


def test_help_names_the_real_defaults(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.yaml").write_text("trainer: {max_epochs: 1}\n")
    with pytest.raises(SystemExit):
        main(["--config", "empty.yaml", "--print_config"])
    values = yaml.safe_load(capsys.readouterr().out)
    for line in HELP.splitlines():
        option, _, rest = line.strip().partition(" ")
        section, dot, name = option.removeprefix("--").partition(".")
        if line.startswith("  --") and dot and name not in ("max_epochs", "precision"):
            shown = rest.rpartition("(")[2].rstrip(")")
            default = values[section][name]
            assert default is None or str(default) == shown, line


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "hints"),
    [
        ([], ("--config configs/push.yaml",)),
        (["--model.gamma", "0.9"], ("--config configs/push.yaml",)),
        (["vaildate"], ("did you mean validate?",)),
        (["predict"], ("fit, validate, test",)),
        (["--config", "missing.yaml"], ("missing.yaml", "configs/push.yaml")),
        (["--config"], ("configs/push.yaml",)),
        (["test"], ("--ckpt_path",)),
        (["validate", "--ckpt_path", "missing.ckpt"], ("missing.ckpt", ".ckpt file")),
    ],
)
def test_mistakes_without_a_config(
    arguments: list[str], hints: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(arguments, hints, capsys)


@pytest.mark.parametrize(
    ("overrides", "hints"),
    [
        (["--model.gama", "0.9"], ("model.gama", "did you mean model.gamma?")),
        (["--data.num_env", "3"], ("did you mean data.num_envs?",)),  # no abbreviations
        (["--gamma", "0.9"], ("did you mean model.gamma?",)),
        (["--data.num_envs", "three"], ("data.num_envs", "three", "int")),
        (["--trainer.precision", "17"], ("trainer.precision", "bf16-mixed")),
        (["--data.seed", "3"], ("data.seed", "seed_everything")),
        (["--data.relay", "off"], ("data.relay cannot be off", "one of full, none")),
        (["--model.relay", "none"], ("model.relay", "data.relay")),
        (["--data.relay", "none", "--data.batch_size", "[8, 24]"], ("--data.batch_size 32",)),
        (["--data.hindsight", "past"], ("data.hindsight", "one of future, final, episode")),
        (["--data.prioritize_motion", "2"], ("prioritize_motion", "[0, 1]")),
        (["--model.algorithm", "sac"], ("model.algorithm", "one of td3, ddpg")),
        (["--model.mixing", "both"], ("model.mixing", "one of joint, sequential")),
        (["--model.critics", "0"], ("critics", "at least 1")),
        (["--seed_everything", "-1"], ("seed_everything", "[0, ")),
        (["--data.task", "FetchPsuh-v4"], ("FetchPsuh-v4", "FetchPush-v4", "FetchReach-v4")),
        (["--data.relabel_ratio", "1.5"], ("relabel_ratio", "[0, 1]")),
        (["--data.relabel_ratio", "-0.1"], ("relabel_ratio", "[0, 1]")),
        (["--data.batch_size", "0"], ("batch_size", "at least 1")),
        (["--data.num_envs", "0"], ("num_envs", "at least 1")),
        (["--data.eval_episodes", "0"], ("eval_episodes", "at least 1")),
        (["--data.replay_capacity", "9"], ("replay_capacity", "one episode")),
        (["--model.gamma", "1.0"], ("gamma", "(0, 1)")),
        (["--trainer.max_epochs", "null"], ("--trainer.max_epochs",)),
        (["--trainer.accelerator", "abacus"], ("abacus",)),
        (["--recorder.tracking_uri", "nonsense"], ("nonsense", "sqlite:///mlruns/mlflow.db")),
        (["--recorder.tracking_uri", "sqlite://"], ("sqlite:///mlruns/mlflow.db",)),
        (["--recorder.tracking_uri", "sqlite:///tiny.yaml"], ("tiny.yaml", "another file")),
        (["--recorder.tracking_uri", "mysql://u:secret@localhost:1/x"], ("cannot be reached",)),
        (["--recorder.folder", "tiny.yaml/runs"], ("tiny.yaml/runs", "--recorder.folder")),
    ],
)
def test_mistakes_in_options(
    overrides: list[str], hints: tuple[str, ...], config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(["--config", config, *overrides], hints, capsys)
    assert not Path("mlruns/artifacts").exists()  # no run was begun


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ("model: {gama: 0.9}", ("model.gama", "model.gamma")),
        ("modle: {gamma: 0.9}", ("modle.gamma", "model.gamma")),
        ("data: {num_envs: three}", ("data.num_envs", "int")),
        ("data: {seed: 3}", ("data.seed", "seed_everything")),
        ("model: {relay: none}", ("model.relay", "data.relay")),
        ("data: [1,", ("config",)),
        ("- 1", ("configs/push.yaml",)),
    ],
)
def test_mistakes_in_a_config(
    text: str, hints: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.yaml").write_text(text)
    assert_refused(["--config", "wrong.yaml"], hints, capsys)


def test_unreachable_server_is_refused_within_seconds(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = time.perf_counter()
    arguments = ["--config", config, "--recorder.tracking_uri", "http://localhost:1"]
    assert_refused(arguments, ("http://localhost:1", "mlflow server"), capsys)
    assert time.perf_counter() - begin < 10.0


def test_untried_mujoco_is_refused(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mujoco, "__version__", "5.0.0")
    arguments = ["--config", config, "--data.task", "FetchReach-v4"]
    assert_refused(arguments, ("mujoco 5.0.0", "mujoco>=3.7,<5"), capsys)


def test_password_of_a_tracking_uri_is_not_printed(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "postgresql://user:secret@localhost:1/runs"
    assert main(["--config", config, "--recorder.tracking_uri", uri]) == 2
    assert "secret" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (None, "damaged"),
        ({"state_dict": {}}, "not written by rher_pl"),
        ({"rher_pl": [1, 2], "state_dict": {}}, "not written by rher_pl"),
        ({"rher_pl": {"task": "FetchPush-v4", "relay": []}, "state_dict": {}}, "of task FetchPush"),
        ({"rher_pl": {"task": "PointPush-v0", "relay": []}, "state_dict": {}}, "another relay"),
    ],
)
def test_checkpoint_that_cannot_be_used_is_refused(
    content: dict[str, Any] | None, hint: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        Path("some.ckpt").write_bytes(b"no checkpoint")
    else:
        write_checkpoint(content, Path("some.ckpt"))
    arguments = ["--config", config, "--ckpt_path", "some.ckpt"]
    assert_refused(arguments, ("some.ckpt", hint), capsys)


@pytest.mark.parametrize("keyword", ["last", "best"])
def test_keyword_without_a_checkpoint(
    keyword: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", config, "--ckpt_path", keyword]
    assert_refused(arguments, (f"no {keyword} checkpoint", "PointPush-v0"), capsys)


def test_status_and_line_reach_the_shell(config: str) -> None:
    done = run_module("--config", config, "--model.gama", "0.9")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].endswith("did you mean model.gamma?")


def test_unrecognised_message_is_kept_in_one_line() -> None:
    assert explain("something\n  new", []) == "something new"


def test_parser_refuses_abbreviations() -> None:
    assert Parser().allow_abbrev is False
