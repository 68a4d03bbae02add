"""The command line: help, config, exit status 2 with one line for each mistake."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import mujoco
import pytest
import yaml
from cli_config import write_config

from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.checkpoints.finding import newest_checkpoint
from rher_pl.cli.fit_parser import FitParser, was_given
from rher_pl.cli.messages import REMOVED, explain
from rher_pl.cli.subcommands import SUBCOMMANDS
from rher_pl.deploy.pretrained import policy_file
from rher_pl.errors import ConfigError
from rher_pl.fit import HELP, main
from rher_pl.tracking.uri import check_tracking_uri, without_password

PACKAGE_ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Path of the tiny config; what a run writes stays in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    return write_config(tmp_path)


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


@pytest.mark.parametrize(
    ("name", "epoch"), [("reach", 2_500), ("push", 1_000), ("pick_and_place", 1_000)]
)
def test_shipped_configs_parse(name: str, epoch: int, capsys: pytest.CaptureFixture[str]) -> None:
    path = PACKAGE_ROOT / "configs" / f"{name}.yaml"
    with pytest.raises(SystemExit) as stop:
        main(["--config", str(path), "--print_config"])
    assert stop.value.code == 0
    values = yaml.safe_load(capsys.readouterr().out)
    assert values["data"]["eval_every_env_steps"] == epoch
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
        ([], ("--config push",)),
        (["--model.gamma", "0.9"], ("--config push",)),
        (["vaildate"], ("did you mean validate?",)),
        (["predict"], ("fit, validate, test",)),
        (["--config", "missing.yaml"], ("missing.yaml", "such as push")),
        (["--config"], ("such as push",)),
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
        (["--data.num_envs", "three"], ("data.num_envs", "three", "a whole number")),
        (["--trainer.precision", "17"], ("trainer.precision", "bf16-mixed")),
        (["--data.seed", "3"], ("data.seed", "seed_everything")),
        (["--data.relay", "off"], ("data.relay cannot be off", "one of full, ordered, none")),
        (["--model.relay", "none"], ("model.relay", "data.relay")),
        (["--data.relay", "none", "--data.batch_size", "[8, 24]"], ("--data.batch_size 32",)),
        (["--data.hindsight", "past"], ("data.hindsight", "one of future, final, episode")),
        (["--data.prioritize_motion", "2"], ("prioritize_motion", "[0, 1]")),
        (["--model.algorithm", "sac"], ("model.algorithm", "one of td3, ddpg")),
        (["--model.mixing", "both"], ("model.mixing", "one of joint, sequential")),
        (["--model.critics", "0"], ("critics", "in [1, 1,000]")),
        (["--seed_everything", "-1"], ("seed_everything", "[0, ")),
        (["--data.task", "FetchPsuh-v4"], ("FetchPsuh-v4", "FetchPush-v4", "FetchReach-v4")),
        (["--data.relabel_ratio", "1.5"], ("relabel_ratio", "[0, 1]")),
        (["--data.relabel_ratio", "-0.1"], ("relabel_ratio", "[0, 1]")),
        (["--data.batch_size", "0"], ("batch_size", "at least 1")),
        (["--data.num_envs", "0"], ("num_envs", "[1, ")),
        (["--data.eval_episodes", "0"], ("eval_episodes", "[1, ")),
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
        ("data: {num_envs: three}", ("data.num_envs", "a whole number")),
        ("data: {seed: 3}", ("data.seed", "seed_everything")),
        ("model: {relay: none}", ("model.relay", "data.relay")),
        ("data: [1,", ("config",)),
        ("- 1", ("such as push",)),
    ],
)
def test_mistakes_in_a_config(
    text: str, hints: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.yaml").write_text(text)
    assert_refused(["--config", "wrong.yaml"], hints, capsys)


def test_an_unreachable_server_is_refused(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", config, "--recorder.tracking_uri", "http://localhost:1"]
    assert_refused(arguments, ("http://localhost:1", "mlflow server"), capsys)


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rher_pl.tracking.uri.CONNECT_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(ConfigError, match="cannot be reached"):
            check_tracking_uri(f"http://127.0.0.1:{port}")


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
    ("change", "hint"),
    [
        (lambda content: content.clear(), "format None"),
        (lambda content: content.pop("rher_pl"), "not written by rher_pl"),
        (lambda content: content["rher_pl"].update(task="FetchPush-v4"), "of task FetchPush"),
        (lambda content: content["rher_pl"]["relay"].update(epsilon=0.3), "another relay"),
        (lambda content: content["rher_pl"]["layout"].reverse(), "another layout"),
        (lambda content: content["rher_pl"].update(action_size=3), "another number of actions"),
        (lambda content: content.pop("optimizer_states"), "no replay or optimizers"),
        (lambda content: content.pop("RelayDataModule"), "no replay or optimizers"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_refused(
    change: Any, hint: str, checkpoint: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = read_checkpoint_file(checkpoint)
    del content["header"]
    change(content)
    header = {} if content else {"header": {}}
    write_checkpoint(content | header, Path("some.ckpt"))
    arguments = ["--config", config, "--ckpt_path", "some.ckpt"]
    assert_refused(arguments, ("some.ckpt", hint), capsys)


def test_a_relay_within_another_reach_is_the_same_relay(
    checkpoint: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What options of the data module set may change from run to run."""
    content = read_checkpoint_file(checkpoint)
    content["rher_pl"]["relay"] |= {"reward_radius": 0.5, "reached_distance": 0.01}
    content["rher_pl"]["action_size"] = 3
    write_checkpoint(content, Path("some.ckpt"))
    arguments = ["--config", config, "--ckpt_path", "some.ckpt"]
    assert_refused(arguments, ("another number of actions",), capsys)


def test_a_file_that_is_none_is_refused(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("some.ckpt").write_bytes(b"no checkpoint")
    arguments = ["--config", config, "--ckpt_path", "some.ckpt"]
    assert_refused(arguments, ("some.ckpt", "damaged"), capsys)


def test_a_checkpoint_of_an_earlier_version_is_not_continued(
    checkpoint: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = read_checkpoint_file(checkpoint)
    content["header"]["upgraded_from"] = 1
    content["header"]["versions"]["rher_pl"] = "0.1.0"
    write_checkpoint(content, Path("some.ckpt"))
    arguments = ["--config", config, "--ckpt_path", "some.ckpt"]
    hints = ("rher_pl 0.1.0", "evaluated and exported, not continued", "begin a new run")
    assert_refused(arguments, hints, capsys)


def test_a_policy_alone_is_evaluated_but_not_continued(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(policy_file("push"))
    arguments = ["--config", config, "--data.task", "FetchPush-v4", "--ckpt_path", path]
    assert_refused(arguments, (path, "no replay or optimizers"), capsys)
    assert main(["test", "--ckpt_path", path, "--data.eval_episodes", "5"]) == 0
    out = capsys.readouterr().out
    assert "FetchPush-v4: success on 5 evaluation episodes" in out
    assert "Test metric" not in out, "one table is enough"
    assert float(re.search(r"push .*? (\d\.\d+) ", out)[1]) >= 0.8  # type: ignore[index]


@pytest.mark.parametrize("keyword", ["last", "best"])
def test_keyword_without_a_checkpoint(
    keyword: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", config, "--ckpt_path", keyword]
    assert_refused(arguments, (f"no {keyword} checkpoint", "PointPush-v0"), capsys)


def test_the_newest_whole_checkpoint_that_fits_is_found(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def put(run: str, name: str, age: int, content: bytes | None = None) -> str:
        path = Path("mlruns/checkpoints", run, f"{name}.ckpt")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkpoint, path) if content is None else path.write_bytes(content)
        os.utime(path, (1_000 - age, 1_000 - age))
        return str(path)

    best, last = put("a", "best", 3), put("a", "last", 2)
    torn = put("b", "last", 1, b"PK torn")
    assert newest_checkpoint("last", "mlruns", {}).path == last
    assert f"checkpoint {torn} is damaged" in capsys.readouterr().err
    assert newest_checkpoint("best", "mlruns", {"data.task": "PointPush-v0"}).path == best
    with pytest.raises(
        ConfigError, match=f"seed_everything 9 in mlruns.*{last} was made with other"
    ):
        newest_checkpoint("last", "mlruns", {"seed_everything": 9})


def test_status_and_line_reach_the_shell(config: str) -> None:
    command = [sys.executable, "-m", "rher_pl.fit", "--config", config, "--model.gama", "0.9"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE_ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].endswith("did you mean model.gamma?")


def test_unrecognised_message_is_kept_in_one_line() -> None:
    assert explain("something\n  new", []) == "something new"


# --- what was given, and what follows from it ----------------------------------------------------


@pytest.mark.parametrize("option", sorted(REMOVED))
@pytest.mark.parametrize("in_a_config", [False, True])
def test_a_removed_option_is_refused_with_what_to_write(
    option: str, in_a_config: bool, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    section, _, name = option.partition(".")
    Path("old.yaml").write_text(f"{section}: {{{name}: 1}}")
    arguments = ["--config", "old.yaml"] if in_a_config else [f"--{option}", "1"]
    assert_refused(["--config", config, *arguments], (f"{option} {REMOVED[option]}",), capsys)


def test_a_renamed_option_names_the_new_one() -> None:
    assert explain("unrecognized arguments: --model.compiled true", []) == (
        "model.compiled is now model.engine: write --model.engine eager, compile or native"
    )


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Arguments of every parse of a whole command line."""
    calls: list[list[str]] = []
    original = FitParser.parse_args

    def counted(self: FitParser, args: Any = None, *rest: Any, **options: Any) -> Any:
        if args and args[0] in SUBCOMMANDS:
            calls.append(list(args))
        return original(self, args, *rest, **options)

    monkeypatch.setattr(FitParser, "parse_args", counted)
    return calls


@pytest.mark.parametrize("more", [[], ["--trainer.accelerator", "auto"], ["--ckpt_path"]], ids=str)
def test_arguments_are_parsed_for_what_is_given_and_with_its_defaults(
    more: list[str],
    parsed: list[list[str]],
    checkpoint: Path,
    config: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if more == ["--ckpt_path"]:
        more = [*more, str(checkpoint), "--model.hidden_layers", "2", "--data.random_episodes", "5"]
    arguments = ["--config", config, *more, "--trainer.max_epochs", "0"]
    assert_refused(arguments, ("max_epochs",), capsys)
    assert parsed == [["fit", *arguments]] * 2


def resolved(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit):
        main([*arguments, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def test_what_a_checkpoint_was_made_with_is_a_default(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["test", "--ckpt_path", str(checkpoint), "--data.eval_episodes", "7"]
    values = resolved(arguments, capsys)
    assert values["data"]["task"] == "PointPush-v0"
    assert values["data"]["batch_size"] == 16, "the checkpoint's"
    assert values["data"]["eval_episodes"] == 7, "the command line's"
    assert values["model"]["tau"] == 0.01, "neither says it"
    assert "compiled" not in values["model"]


def test_only_what_was_given_is_given(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import rher_pl.cli.fit_cli as fit_cli

    given: list[Any] = []

    def stop(options: Any, folder: str) -> None:
        given.append((options, folder))
        raise ConfigError("enough")

    monkeypatch.setattr(fit_cli, "chosen_checkpoint", stop)
    assert main(["--config", config, "--data.seed_everything", "1"]) == 2
    assert given == []
    assert main(["--config", config, "--model.gamma", "0.5", "--ckpt_path", "last"]) == 2
    ((options, folder),) = given
    assert folder == "mlruns"
    assert options["model.gamma"] == 0.5 and options["ckpt_path"] == "last"
    assert options["data.num_envs"] == 2, "of the config"
    assert was_given(options, "data.task") and not was_given(options, "seed_everything")
    assert not was_given(options, "model.tau") and not was_given(options, "recorder.folder")


def test_parser_refuses_abbreviations() -> None:
    assert FitParser().allow_abbrev is False


def test_a_password_is_shown_nowhere() -> None:
    text = "tracking_uri: postgresql://me:pa:ss@host/db, http://host:5000/a@b, sqlite:///a.db"
    assert without_password(text) == text.replace("pa:ss", "***")
