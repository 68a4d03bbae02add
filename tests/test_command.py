"""What the small commands have in common: quick help, one line for each mistake."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ("doctor", "evaluate", "export", "inspect")
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
    ("evaluate", ["--ckpt", "a", "--video", "none/a.mp4"], "no folder none"),
    ("evaluate", ["--ckpt", "broken.ckpt"], "damaged"),
    ("export", ["--ckpt", "a"], "--to"),
    ("export", ["--ckpt", "a", "--to", "onx"], "onnx"),
    ("export", ["--ckpt", "broken.ckpt", "--to", "onnx"], "damaged"),
    ("inspect", ["--ckpt", "broken.ckpt"], "damaged"),
    ("inspect", ["--ckpt", "broken.ckpt", "--out", "a.txt"], ".png"),
    ("doctor", ["--folder"], "--folder"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_quick_and_imports_no_torch(command: str) -> None:
    code = f"import sys; from rher_pl.{command} import main\n"
    code += "try: main(['--help'])\nfinally: print('torch' in sys.modules, file=sys.stderr)"
    begin = os.times()
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    end = os.times()  # of the processor, so that a busy machine makes no difference
    assert end.children_user - begin.children_user < 2.0
    assert done.returncode == 0 and done.stderr == "False\n"
    assert done.stdout.startswith(f"usage: python -m rher_pl.{command}")


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
