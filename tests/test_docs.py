"""The documentation: the generated page is fresh, links lead somewhere, every command works."""

from __future__ import annotations

import functools
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rher_pl.__main__ import COMMANDS
from rher_pl.choices import LINKED
from tools.configuration_page import PAGE, page

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")


def commands() -> list[str]:
    """Every command in a fenced ``sh`` block, comments cut off, each once."""
    found: dict[str, None] = {}
    for path in PAGES:
        for block in FENCE.findall(path.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                if command := re.sub(r"\s+# .*", "", line).strip():
                    found[command] = None
    return list(found)


def words(command: str) -> list[str]:
    """Without leading assignments, such as ``OMP_NUM_THREADS=1``; one word for ``<run id>``."""
    parts = shlex.split(re.sub("<[^>]*>", "PLACEHOLDER", command))
    while re.fullmatch(r"[A-Z_]+=\S*", parts[0]):
        parts.pop(0)
    return parts


def module(command: str) -> tuple[str, list[str]] | None:
    """Of ``python -m NAME ARGUMENTS``, or of ``rher-pl COMMAND ARGUMENTS``: name and arguments."""
    first, *rest = words(command)
    if first == "rher-pl":
        name = COMMANDS[rest[0]][0].removesuffix(".__main__")
        return name, rest if name == "rher_pl.fit" else rest[1:]
    return (rest[1], rest[2:]) if Path(first).name == "python" and rest[0] == "-m" else None


@functools.cache
def help_of(name: str) -> str:
    """What ``--help`` prints; for the trainer, the full list of options."""
    arguments = ["fit", "--help"] if name == "rher_pl.fit" else ["--help"]
    command = [sys.executable, "-m", name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_configuration_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "run `make docs` and commit docs/configuration.md"


def test_the_configuration_page_has_every_option_of_ours() -> None:
    listed = re.findall(r"^  --([\w.]+)", help_of("rher_pl.fit"), re.MULTILINE)
    ours = {n for n in listed if "." in n and not n.startswith("trainer.") and n[-5:] != ".help"}
    assert {name.partition(".")[0] for name in ours} == {
        "data",
        "model",
        "until",
        "recorder",
        "video",
    }
    described = set(re.findall(r"^\| `--([\w.]+)`", page(), re.MULTILINE))
    assert described == ours - set(LINKED)


def test_a_choice_is_shown_as_one_writes_it() -> None:
    assert "| `--data.relay` | `full` |" in page()


def test_commands_are_collected() -> None:
    found = commands()
    assert "make push" in found
    assert len([c for c in found if module(c)]) > 8


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text()):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("command", commands())
def test_every_command_exists_with_its_options(command: str) -> None:
    first, *rest = words(command)
    if found := module(command):
        name, arguments = found
        options = {word.partition("=")[0] for word in arguments if word.startswith("--")}
        if name == "benchmarks.learning":  # takes the trainer's options too
            options = {option for option in options if "." not in option}
        for option in options:
            assert re.search(rf"{re.escape(option)}\b", help_of(name)), f"{name} has no {option}"
    elif first == "make":
        subprocess.run(["make", "-n", *rest], cwd=ROOT, capture_output=True, check=True)
    elif [first, *rest[:1]] == ["pip", "install"]:
        requirement = rest[-1].removeprefix("-e").strip()
        assert requirement in (ROOT / "pyproject.toml").read_text() or Path(requirement).exists()
    elif [first, *rest[:1]] == ["pip", "wheel"]:  # test_package.py builds one
        assert rest[-1] == "." and (ROOT / rest[rest.index("-c") + 1]).is_file()
    elif first in ("c++", "./policy"):  # test_cpp_example.py runs them
        assert command in (ROOT / "docs" / "cpp.md").read_text()
    else:
        pytest.fail(f"no check for `{command}`: add one here")


def config_files(command: str) -> list[str]:
    return re.findall(r"configs/\w+\.yaml", command)


@pytest.mark.parametrize("command", [c for c in commands() if config_files(c)])
def test_configs_that_are_named_exist(command: str) -> None:
    for file in config_files(command):
        assert (ROOT / file).is_file()


def trainings() -> list[list[str]]:
    found = [module(command) for command in commands()]
    return [f[1] for f in found if f is not None and f[0] == "rher_pl.fit"]


@pytest.mark.parametrize("arguments", [a for a in trainings() if a[0] != "test"], ids=" ".join)
def test_training_commands_resolve(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rher_pl.fit import main

    monkeypatch.chdir(ROOT)
    if "--ckpt_path" in arguments:  # continuing needs a checkpoint: test_run.py does it
        at = arguments.index("--ckpt_path")
        arguments = arguments[:at] + arguments[at + 2 :]
    if "--help" in arguments:
        return
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--print_config"])
    assert stop.value.code == 0
    assert "max_epochs" in capsys.readouterr().out


def test_comparisons_of_recorded_curves_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rher_pl.compare.__main__ import main

    found = [module(command) for command in commands() if ".jsonl" in command]
    arguments = [f[1] for f in found if f is not None and f[0] == "rher_pl.compare"]
    assert arguments
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "benchmarks" / "results", tmp_path / "benchmarks" / "results")
    for each in arguments:
        assert main(each) == 0
        assert "RHER paper" in capsys.readouterr().out
        assert (tmp_path / each[each.index("--out") + 1]).exists()


def test_the_config_of_your_own_environment_resolves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's, with an environment that is always installed in place of Panda's."""
    from rher_pl.fit import main

    (block,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert block.count("PandaPush-v3") == 1
    (tmp_path / "my.yaml").write_text(block.replace("PandaPush-v3", "FetchPush-v4"))
    with pytest.raises(SystemExit) as stop:
        main(["--config", str(tmp_path / "my.yaml"), "--print_config"])
    assert stop.value.code == 0
    assert "id: FetchPush-v4" in capsys.readouterr().out
