"""Configs that come with the package are found by name, wherever one is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rher_pl.cli import shipped_configs
from rher_pl.cli.shipped_configs import with_shipped_configs
from rher_pl.envs.suite.registration import SUITE
from rher_pl.fit import main
from rher_pl.training.datamodule import RelayDataModule

ROOT = Path(__file__).parents[1]
if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")


def test_each_config_of_the_repository_has_its_name() -> None:
    names = {file.stem for file in (ROOT / "configs").glob("*.yaml")}
    assert {"push", "pick_and_place", "reach"} <= names == shipped_configs.shipped_configs().keys()


def test_each_config_fits_its_task_and_each_task_of_ours_has_one() -> None:
    read = [yaml.safe_load(file.read_text()) for file in (ROOT / "configs").glob("*.yaml")]
    named = [config["data"] for config in read if isinstance(config["data"]["task"], str)]
    tasks = {RelayDataModule(**data).task.name for data in named}
    assert tasks > {*SUITE}


@pytest.mark.parametrize("form", [["--config", "push"], ["--config=push"], ["-c", "push"]])
def test_a_name_stands_for_its_file(form: list[str]) -> None:
    *_, last = with_shipped_configs(["fit", *form])
    assert last.removeprefix("--config=") == str(ROOT / "configs" / "push.yaml")


def test_other_arguments_and_files_of_ones_own_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["fit", "--config", "mine.yaml", "--recorder.run_name", "push"]
    assert with_shipped_configs(arguments) == arguments
    monkeypatch.chdir(tmp_path)
    Path("push").write_text("")
    assert with_shipped_configs(["fit", "--config", "push"]) == ["fit", "--config", "push"]


def test_it_works_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["--config", "point_push", "--print_config"])
    assert stop.value.code == 0
    assert "task: PointPush-v0" in capsys.readouterr().out


def test_an_installed_package_looks_beside_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "push.yaml").write_text("")
    monkeypatch.setattr(shipped_configs, "FOLDERS", (tmp_path, ROOT / "configs"))
    assert with_shipped_configs(["--config", "push"]) == ["--config", str(tmp_path / "push.yaml")]


def test_the_wheel_is_told_of_every_folder() -> None:
    tracked = subprocess.check_output(["git", "ls-files", "rher_pl/*.py"], cwd=ROOT, text=True)
    folders = {str(Path(file).parent).replace("/", ".") for file in tracked.split()}
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(told) == folders | {"rher_pl.configs"}
