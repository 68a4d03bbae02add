"""What the small commands have in common: quick help, one line for each mistake."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from rher_pl.checkpoints.file import read_checkpoint_file, write_checkpoint
from rher_pl.cli import exit_status
from rher_pl.cli.command import run_command
from rher_pl.errors import ConfigError, TrainingError

COMMANDS = ("doctor", "evaluate", "export", "inspect", "fit", "compare.__main__", "push_to_hub")
HEAVY = {"torch", "lightning", "torchrl", "mlflow", "mujoco", "matplotlib", "jsonargparse"}
HEAVY |= {"huggingface_hub"}
"""Each takes a tenth of a second or more. Gymnasium and its numpy, where tasks are known, less."""
MISTAKES = [
    ("evaluate", [], "--ckpt"),
    ("evaluate", ["--ckpt", "missing.ckpt"], "missing.ckpt"),
    ("evaluate", ["--pretrained", "psuh"], "comes with the package"),
    ("evaluate", ["--run", "abc"], "no runs in mlruns"),
    ("evaluate", ["--ckpt", "a", "--run", "b"], "--ckpt"),
    ("evaluate", ["--ckpt", "a", "--epsiodes", "3"], "did you mean --episodes?"),
    ("evaluate", ["--ckpt", "a", "--episodes", "0"], "at least 1"),
    ("evaluate", ["--ckpt", "a", "--grid"], "add --video"),
    ("evaluate", ["--ckpt", "a", "--video", "a.avi"], ".mp4"),
    ("evaluate", ["--ckpt", "a", "--video", "none/a.mp4"], "no folder 'none'"),
    ("evaluate", ["--ckpt", "broken.ckpt"], "damaged"),
    ("export", ["--ckpt", "a"], "--to"),
    ("export", ["--ckpt", "a", "--to", "onx"], "onnx"),
    ("export", ["--ckpt", "broken.ckpt", "--to", "onnx"], "damaged"),
    ("inspect", ["--ckpt", "broken.ckpt"], "damaged"),
    ("inspect", ["--ckpt", "broken.ckpt", "--out", "a.txt"], ".png"),
    ("doctor", ["--folder"], "--folder"),
    ("compare.__main__", ["a", "--publised"], "did you mean --published?"),
    ("compare.__main__", ["a"], "no store"),
    ("evaluate", ["--pretrained", "push", "--seed", "-1"], "whole number from 0"),
    ("evaluate", ["--pretrained", "push", "--explore"], "add --video"),
    ("evaluate", ["--pretrained", "push", "--video_episodes", "9"], "add --video"),
    ("evaluate", ["--ckpt", "push"], "no checkpoint 'push'"),  # no file; a name is --pretrained
    ("evaluate", ["--ckpt", "x" * 300], "no checkpoint"),
    ("evaluate", ["--run", "abc", "--tracking_uri", "sqlite:///a.db"], "no store"),
    ("evaluate", ["--run", "abc", "--tracking_uri", "nonsense"], "tracking_uri 'nonsense'"),
    ("evaluate", ["--ckpt", "hf://push"], "write hf://user/name"),
    ("push_to_hub", ["--pretrained", "push"], "--repo"),
    ("push_to_hub", ["--repo", "me/push"], "--ckpt"),
    ("push_to_hub", ["--ckpt", "a", "--repo", "me/a", "--dry_run"], "no checkpoint 'a'"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    code = f"import sys; from rher_pl.{command} import main\n"
    code += "try: main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0
    name = command.removesuffix(".__main__")
    assert f"python -m rher_pl.{name}" in done.stdout.splitlines()[0]
    assert "rher_pl" in done.stderr.split()
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, exit_status.SUCCESS),
        (TrainingError("a\n  b"), exit_status.FAULT),
        (ConfigError("a\n  b"), exit_status.MISTAKE),
    ],
)
def test_how_a_command_ends(
    error: Exception | None, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(argv: Any) -> int:
        if error is not None:
            raise error
        return exit_status.SUCCESS

    assert run_command(body, []) == status
    assert capsys.readouterr().err == ("" if error is None else "error: a b\n")


@pytest.mark.parametrize(("command", "arguments", "hint"), MISTAKES, ids=lambda value: str(value))
def test_a_mistake_is_one_line(
    command: str,
    arguments: list[str],
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.ckpt").write_bytes(b"PK\x03\x04 cut short")
    main = importlib.import_module(f"rher_pl.{command}").main
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1, captured.err
    assert hint in captured.err
    assert list(tmp_path.iterdir()) == [tmp_path / "broken.ckpt"]  # nothing was made


# --- checkpoints that are not what they should be ------------------------------------------------


def evaluate(path: str) -> int:
    return importlib.import_module("rher_pl.evaluate").main(["--ckpt", path, "--episodes", "1"])


def export(path: str) -> int:
    return importlib.import_module("rher_pl.export").main(
        ["--ckpt", path, "--to", "onnx", "--episodes", "0"]
    )


def inspect(path: str) -> int:
    return importlib.import_module("rher_pl.inspect").main(["--ckpt", path])


def evaluate_by_fit(path: str) -> int:
    return importlib.import_module("rher_pl.fit").main(["test", "--ckpt_path", path])


def fit(path: str) -> int:
    Path("c.yaml").write_text("data: {task: PointPush-v0}\ntrainer: {max_epochs: 1}\n")
    main = importlib.import_module("rher_pl.fit").main
    return main(["--config", "c.yaml", "--ckpt_path", path])


@pytest.mark.parametrize("use", [evaluate, export, inspect, evaluate_by_fit, fit])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("rher_pl",), {}),
        (("rher_pl", "task"), ["PointPush-v0"]),
        (("rher_pl", "relay"), {"objects": 3}),
        (("state_dict",), None),
        (("RelayDataModule", "storage", "episodes", "observation"), torch.zeros(3)),
        (("datamodule_hyper_parameters", "relabel_ratio"), ["a", {}]),
        (("callbacks",), "none"),
        (("hyper_parameters", "hidden_size"), "wide"),
        (("datamodule_hyper_parameters", "num_envs"), "many"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_a_checkpoint_with_a_wrong_value_is_one_line_or_does_not_matter(
    use: Any,
    place: tuple[str, ...],
    value: Any,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    content = read_checkpoint_file(checkpoint)
    inside: Any = content
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    write_checkpoint(content, Path("wrong.ckpt"))
    status = use("wrong.ckpt")
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in err
    assert (status, len(lines)) in ((0, 0), (2, 1)), err
    assert status == 2 or place[0] != "rher_pl"
