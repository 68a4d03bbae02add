"""The wheel is whole, and its one script does in an empty folder what a checkout does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rher_pl.__main__ as rher_pl_command
from rher_pl import __version__

ROOT = Path(__file__).parents[1]
SMALL = {
    "trainer.max_epochs": 1,
    "data.eval_every_env_steps": 500,
    "data.random_episodes": 5,
    "data.eval_episodes": 4,
    "data.updates_per_episode": 1,
    "until.episodes": 4,
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what is tracked, and nothing else."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        if name.partition("/")[0] in ("rher_pl", "configs", "pyproject.toml", "README.md"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    (copy / "LICENSE").write_bytes((ROOT / "LICENSE").read_bytes())
    code = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, check=True)
    (file,) = out.glob("*.whl")
    return file


def test_the_wheel_holds_all_that_is_tracked(wheel: Path) -> None:
    tracked = subprocess.check_output(
        ["git", "ls-files", "rher_pl", "configs"], cwd=ROOT, text=True
    ).split()
    expected = {f"rher_pl/{name}" if name.startswith("configs/") else name for name in tracked}
    kinds = {Path(name).suffix for name in expected}
    assert {".py", ".cpp", ".h", ".ckpt", ".md", ".yaml", ".typed"} <= kinds
    with zipfile.ZipFile(wheel) as content:
        found = {name for name in content.namelist() if ".dist-info/" not in name}
        (scripts,) = (name for name in content.namelist() if name.endswith("entry_points.txt"))
        assert content.read(scripts).decode().split() == [
            "[console_scripts]",
            "rher-pl",
            "=",
            "rher_pl.__main__:console",
        ]
    assert found == expected
    assert wheel.name.split("-")[1] == __version__


# --- one script for all commands ----------------------------------------------------------------


def test_its_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert rher_pl_command.main([]) == rher_pl_command.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in rher_pl_command.COMMANDS)
    assert rher_pl_command.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("name", rher_pl_command.COMMANDS)
def test_each_command_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name in ("validate", "test", "fit"):  # their own help takes seconds to make
        assert rher_pl_command.main([name, "--ckpt_path"]) == 2
        assert "error: " in capsys.readouterr().err
        return
    with pytest.raises(SystemExit) as stop:
        rher_pl_command.main([name, "--help"])
    assert stop.value.code == 0
    module = rher_pl_command.COMMANDS[name][0].removesuffix(".__main__")
    assert f"python -m {module}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["evalute"], "unknown command 'evalute': did you mean evaluate?"),
        (["x"], "choose one of fit, validate, test, evaluate, export"),
        (["evaluate", "--pretrained", "psuh"], "no policy 'psuh' comes with the package"),
        (["test"], "nothing to test: add --ckpt_path"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rher_pl_command.main(arguments) == 2
    err = capsys.readouterr().err
    assert line in err and err.startswith("error: ") and err.count("\n") == 1


def test_a_package_that_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(rher_pl_command.COMMANDS, "extra", ("no_such_package.command", ""))
    assert rher_pl_command.main(["extra"]) == 2
    assert "extra needs the package no_such_package" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_works_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """Installed beside its dependencies, before any checkout on the path."""
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(site / "bin" / "rher-pl"), *arguments],
            capture_output=True,
            text=True,
            cwd=empty,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = "import rher_pl; print(rher_pl.__file__)"
    found = subprocess.check_output([sys.executable, "-c", code], cwd=empty, env=environment)
    assert found.decode().startswith(str(site))
    options = [f"--{name}={value}" for name, value in SMALL.items()]
    assert "FetchPush-v4: success on 4" in run("fit", "--config", "push", *options)
    (last,) = empty.glob("mlruns/checkpoints/*/last.ckpt")
    assert "FetchPush-v4" in run("test", "--ckpt_path", str(last))
    run("evaluate", "--pretrained", "push", "--episodes", "5", "--json", "found.json")
    figures = json.loads((empty / "found.json").read_text())
    assert figures["subtasks"]["push"]["all"]["success"] >= 0.8
    out = run("export", "--ckpt", str(last), "--to", "torchscript", "--episodes", "0")
    assert "torchscript, off by" in out and out.rstrip().endswith("ok")
    assert "ok" in run("doctor")
