"""The doctor sees what is broken, names the fix, and says so by its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rher_pl.cli.checks import doctor, software
from rher_pl.cli.checks.finding import Level
from rher_pl.cli.checks.machine import check_folder
from rher_pl.doctor import main
from rher_pl.envs.suite import cubes, model
from rher_pl.pictures import rendering


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_sound_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rendering, "probe", lambda backend: "")
    torch.set_num_threads(1)
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "0 broken" in out and "gripper at (1.3" in out and "made by the first run" in out
    assert list(Path().iterdir()) == []  # looking changes nothing


def test_broken_things_are_red_with_a_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(software, "_drive_arm", lambda: ([1.34, 0.75, 0.4], [1.35, 0.75, 0.4]))
    monkeypatch.setattr(rendering, "probe", lambda backend: "no library")
    assert main(["--tracking_uri", "http://127.0.0.1:9"]) == 1
    out = capsys.readouterr().out
    assert "3 broken" in out  # start pose, weld, tracking
    assert out.count("fix: this MuJoCo simulates the arm wrongly") == 2
    assert "egl: no library" in out and "libosmesa6" in out
    assert "mlflow server" in out


def test_the_known_bad_mujoco_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_version", lambda name: "5.0.0")
    (finding,) = software.check_simulator()
    assert finding.level is Level.BROKEN and 'pip install "mujoco>=3.7,<5"' in finding.fix


def test_the_tasks_start() -> None:
    (finding,) = software.check_tasks()
    assert finding.level is Level.OK and "all 8" in finding.detail


def test_a_missing_file_of_the_arm_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "ARM", Path("none.xml"))
    (finding,) = software.check_tasks()
    assert finding.level is Level.BROKEN and "none.xml" in finding.detail
    assert "gymnasium-robotics" in finding.fix


def test_a_task_that_does_not_start_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cubes, "model_xml", lambda *bodies, **more: "<mujoco>")
    found = {finding.name: finding for finding in software.check_tasks()}
    assert "FetchStack-v0" in found and "FetchInsert-v0" not in found
    assert all(finding.level is Level.BROKEN for finding in found.values())


def test_a_folder_that_cannot_be_written_is_red() -> None:
    Path("file").write_text("")
    finding = next(check_folder("file/mlruns"))
    assert finding.level is Level.BROKEN and "--recorder.folder" in finding.fix


def test_a_missing_package_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(doctor, "check_cpu", missing)
    monkeypatch.setattr(doctor, "check_simulator", lambda: iter(()))
    monkeypatch.setattr(rendering, "probe", lambda backend: "")
    found = {finding.name: finding for finding in doctor.all_findings("mlruns", None)}
    assert found["torch"].level is Level.BROKEN and "'torch<2.14,>=2.10'" in found["torch"].fix


def test_a_fix_names_what_the_package_asks_for() -> None:
    """It works in a checkout and beside an installed wheel."""
    assert software.install_command("mujoco").endswith(" 'mujoco<5,>=3.7'")
    assert software.install_command("nowhere").endswith(" nowhere")
