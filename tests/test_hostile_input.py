"""Input that would hang, flood or fool a command is refused in one short line."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rher_pl import load_policy
from rher_pl.check import main as check
from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.cli.messages import explain
from rher_pl.cli.subcommands import split_command
from rher_pl.cli.yaml_guard import check_arguments, check_yaml, read_config
from rher_pl.deploy.portable import INPUTS
from rher_pl.errors import LONGEST, ConfigError, one_line
from rher_pl.evaluate import main as evaluate
from rher_pl.fit import main
from rher_pl.paths import check_output_file, check_writable, require_name
from rher_pl.pictures import rendering
from rher_pl.tracking.late_writes import LateWrites
from rher_pl.tracking.uri import check_tracking_uri

Refusal = Callable[..., str]


@pytest.fixture
def refusal(
    small_config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Refusal:
    """The one line that a training with some options ends with; it must leave nothing behind."""

    def refuse(*options: str) -> str:
        monkeypatch.chdir(tmp_path)
        assert main(["--config", str(small_config), *options]) == 2
        (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
        assert [each.name for each in tmp_path.iterdir()] == ["small.yaml"]
        return line

    return refuse


# --- what is printed ---------------------------------------------------------------------------


def test_what_is_printed_is_one_line_that_keeps_its_end_and_commands_no_terminal() -> None:
    line = one_line("\x1b[2J" + "x" * 2**20 + "\nuse another")
    assert len(line) <= LONGEST and line.isprintable() and line.endswith("use another")
    assert line.startswith("\\x1b[2J")
    assert one_line("\x00" * 1000).isprintable() and len(one_line("\x00" * 1000)) <= LONGEST
    assert one_line(" plain: ε 💥\n") == "plain: ε 💥"


@pytest.mark.parametrize("option", ["--zzz", "--data.zzz", "--trainer.strategy", "--data.task"])
def test_names_of_ten_thousand_characters(option: str, refusal: Refusal) -> None:
    line = refusal(option, "x" * 10_000)
    assert line.startswith("error: ") and len(line) <= LONGEST


# --- YAML --------------------------------------------------------------------------------------

BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 10))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "stands for more than"),
        (f'model: "{BOMB[:-1]!s}"'.replace("\n", "\\n"), "stands for more than"),
        ("&r\ndata: *r", "contains itself"),
        ("data: &r [1, [*r]]", "contains itself"),
        ("[" * 1_000, "levels"),
        ("x" * (2**20 + 1), "larger than"),
    ],
)
def test_yaml_that_would_grow_is_refused_before_it_is_resolved(text: str, words: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(ConfigError, match=words):
        check_yaml(text)
    assert time.perf_counter() - begin < 1.0


def test_yaml_with_aliases_that_stays_small_is_not() -> None:
    check_yaml("a: &a [64, 192]\ndata: {batch_size: *a, eval_envs: 5}\nmodel: {critics: 2}\n")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe = str(tmp_path / "pipe")
    for arguments in (["--config", pipe], [f"--config={pipe}"], ["--trainer", pipe]):
        with pytest.raises(ConfigError, match="pipe"):
            check_arguments(arguments)
    with pytest.raises(ConfigError, match="pipe"):
        check_yaml(f"trainer: {{callbacks: {pipe}}}")
    with pytest.raises(ConfigError, match="pipe"):
        check_output_file(pipe, "--json")
    with pytest.raises(ConfigError, match="not a file"):
        read_config(tmp_path)


def test_the_check_of_a_task_reads_configs_as_training_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bomb.yaml").write_text(BOMB)
    os.mkfifo(tmp_path / "pipe")
    for config, words in (("bomb.yaml", "stands for more than"), ("pipe", "not a file")):
        assert check(["--config", str(tmp_path / config)]) == 2
        assert words in capsys.readouterr().err


# --- paths and stores --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " ", "x" * 256, "x/" * 3_000, "a\x00b", "a\x1b[31m"])
def test_names_that_no_file_should_have(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        require_name(name, "--out")
    assert len(str(refused.value)) <= LONGEST


def test_looking_whether_a_folder_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is no folder"):
        check_writable(tmp_path / "file" / "below")


@pytest.mark.parametrize("folder", ["", "a?b", "a%20b", "a#b"])
def test_folders_that_a_uri_reads_otherwise(folder: str, refusal: Refusal) -> None:
    assert "--recorder.folder" in refusal("--recorder.folder", folder)


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title)")


def _damaged(path: Path) -> None:
    _foreign(path)
    path.write_bytes(path.read_bytes()[:100] + b"w" * 8_000)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_foreign, "database of another program"),
        (_damaged, "not a database that can be written"),
        (lambda path: path.write_text("no database" * 20), "not a database"),
        (lambda path: path.mkdir(), "not a database"),
        (lambda path: os.mkfifo(path), "not a database"),
    ],
)
def test_files_that_are_no_store_of_ours_are_named_and_left_alone(
    make: Callable[[Path], Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ConfigError, match=f"some.db is .*{words}|some.db is {words}"):
        check_tracking_uri(f"sqlite:///{path}")
    assert before is None or path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["some.db"]


def test_a_locked_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rher_pl.tracking.making.LOCKED_SECONDS", 0.1)
    connection = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ConfigError, match=r"some\.db is locked by another program"):
        check_tracking_uri(f"sqlite:///{tmp_path}/some.db")
    connection.close()
    check_tracking_uri(f"sqlite:///{tmp_path}/some.db")


def test_more_than_a_file_in_a_sqlite_uri() -> None:
    with pytest.raises(ConfigError, match="leave out what begins with the"):
        check_tracking_uri("sqlite:///x?mode=ro")


def test_what_a_store_does_not_take_is_told_once_and_written_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rher_pl.tracking.late_writes.RETRY_SECONDS", 0.0)
    is_open, taken = False, []

    def write(what: str) -> Callable[[], None]:
        def attempt() -> None:
            if not is_open:
                raise OSError("Read-only file system")
            taken.append(what)

        return attempt

    late = LateWrites(lambda: False)
    for index in range(40):
        late.write(f"picture {index % 3}", write(f"{index}"))
    assert capsys.readouterr().err.count("\n") == 1 and len(late.waiting) == 3
    is_open = True
    late.write("picture 0", write("last"))
    assert sorted(taken) == ["37", "38", "39", "last"] and not late.waiting
    assert capsys.readouterr().err == "MLflow has taken everything that waited\n"


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trainer.logger", "TensorBoardLogger"], "add --trainer.logger.save_dir"),
        (["--trainer.callbacks+=LearningRateMonitor"], "add --trainer.logger CSVLogger"),
        (["--trainer.callbacks+=NoSuch"], "write the name of a class, such as RichProgressBar"),
        (["--trainer.precision", "float32"], "write 32-true"),
        (["--trainer.accelerator", "cuda"], "write cpu, or auto"),
        (["--data.num_envs", "four"], "write a whole number"),
        (["--trainer.max_epochs="], "cannot be empty: write a whole number"),
        (["--data.task", "FetchReach-v4", "--data.batch_size", "[1, 2]"], "such as --data.batch"),
        (["--data.batch_size", "9" * 400], "more than 1,000,000,000,000,000"),
        (["--data.replay_capacity", "9" * 400], "at most 1,000,000,000,000,000"),
        (["--model.critics", "20000"], r"in \[1, 1,000\]"),
    ],
)
def test_options_that_cannot_be_say_what_to_write(
    options: list[str],
    words: str,
    refusal: Refusal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    line = refusal(*options)
    assert re.search(words, line) and len(line) <= LONGEST


def test_what_a_package_that_is_missing_says_reaches_the_user() -> None:
    message = """Does not validate
    - Problem with given class_path 'lightning.pytorch.loggers.TensorBoardLogger':
        Neither `tensorboard` nor `tensorboardX` is available.
    - Expected a <class 'bool'>
    Given value: Namespace()"""
    told = explain(message, [])
    assert told.startswith("TensorBoardLogger cannot be made: Neither `tensorboard`")
    assert "Expected" not in told


def test_a_command_behind_its_options_is_noticed_and_a_value_is_not() -> None:
    with pytest.raises(ConfigError, match="write fit --config"):
        split_command(["--config", "x.yaml", "fit"])
    assert split_command(["--config", "x.yaml", "--recorder.experiment", "test"])[0] == "fit"


# --- vectors and checkpoints -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"observation": np.zeros(31)}, r"shape \[31\]: this policy takes \[25\]"),
        ({"observation": np.zeros(10)}, r"shape \[10\]"),
        ({"observation": np.zeros((2, 25))}, "give as many of each"),
        ({"achieved_goal": np.zeros(6)}, r"achieved_goal has shape \[6\]"),
        ({"desired_goal": None}, "holds no numbers"),
        ({"desired_goal": ["a", "b", "c"]}, "holds no numbers"),
        ({"achieved_goal": np.array([0.0, np.nan, 0.0])}, "NaN"),
        ({"observation": np.full(25, 1e308)}, "infinite"),
    ],
)
def test_a_robot_does_not_move_on_a_wrong_vector(change: dict[str, Any], words: str) -> None:
    policy = load_policy("push")
    state = {name: np.zeros(size) for name, size in policy.portable.sizes.items()}
    assert policy(state).shape == (4,)
    with pytest.raises(ValueError, match=words):
        policy(state | change)


def test_a_missing_name_is_told() -> None:
    policy = load_policy("push")
    for state in ({"observation": np.zeros(25)}, np.zeros(31), None):
        with pytest.raises(ValueError, match=f"an observation needs {', '.join(INPUTS)}"):
            policy(state)  # type: ignore[arg-type]


def _dag() -> list[Any]:
    inner: list[Any] = ["x"]
    for _ in range(40):
        inner = [inner, inner]
    return inner


def _deep() -> list[Any]:
    inner: list[Any] = []
    for _ in range(100):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("value", "words"), [(_dag(), "contain each other"), (_deep(), "more than 50 levels")]
)
def test_lists_that_stand_for_more_than_the_file_are_refused(
    value: Any, words: str, tmp_path: Path
) -> None:
    write_checkpoint({"hyper_parameters": {"gamma": value}}, tmp_path / "some.ckpt")
    begin = time.perf_counter()
    with pytest.raises(ConfigError, match=words):
        read_checkpoint_file(tmp_path / "some.ckpt")
    assert time.perf_counter() - begin < 2.0


# --- graphics ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("works", "words"),
    [(("egl",), "write MUJOCO_GL=egl, which works here"), ((), "unset it; install one")],
)
def test_graphics_that_cannot_work_are_named_before_anything_is_played(
    works: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    monkeypatch.setattr(rendering, "probe", lambda name: "" if name in works else "no display")
    monkeypatch.setattr("rher_pl.deploy.measure.measure", lambda *_: pytest.fail("was played"))
    assert evaluate(["--pretrained", "push", "--video", str(tmp_path / "a.mp4")]) == 2
    told = capsys.readouterr().err
    assert "MUJOCO_GL=glfw: no display" in told and words in told
