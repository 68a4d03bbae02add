"""The precision that is chosen where none is asked for, and what is said of one that is slow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from cli_config import write_config

from rher_pl.cli import fit_cli as cli
from rher_pl.fit import main
from rher_pl.learner.precision import default_precision

WITH = {"avx512_bf16": True}


@pytest.mark.parametrize(
    ("accelerator", "gpu", "cpu", "precision"),
    [
        ("cpu", True, {}, "32-true"),
        ("cpu", None, WITH, "bf16-mixed"),
        ("cpu", None, {"amx_bf16": True}, "bf16-mixed"),
        ("gpu", True, {}, "bf16-mixed"),
        ("cuda", False, WITH, "32-true"),
        ("auto", False, WITH, "32-true"),
        ("auto", None, WITH, "bf16-mixed"),
        ("mps", None, WITH, "32-true"),
    ],
)
def test_the_device_that_trains_decides(
    accelerator: str, gpu: bool | None, cpu: dict, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``gpu``: whether there is one, and whether it computes in bfloat16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu)
    assert default_precision(accelerator) == precision


@pytest.mark.parametrize(
    ("arguments", "precision"),
    [
        ((), "32-true"),
        (("--trainer.accelerator", "gpu"), "bf16-mixed"),
        (("--config", "gpu.yaml"), "bf16-mixed"),
        (("--trainer.accelerator", "gpu", "--trainer.precision", "32-true"), "32-true"),
    ],
)
def test_the_command_line_asks_for_the_accelerator(
    arguments: tuple[str, ...],
    precision: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        cli, "default_precision", lambda name="cpu": "32-true" if name == "cpu" else "bf16-mixed"
    )
    Path("gpu.yaml").write_text("trainer: {accelerator: gpu}\n")
    with pytest.raises(SystemExit) as stop:
        main(["--config", write_config(tmp_path), *arguments, "--print_config"])
    assert stop.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["precision"] == precision


@pytest.mark.parametrize("native", [False, True])
def test_emulated_bfloat16_is_warned_of(
    native: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "cpu_has_bfloat16", lambda: native)
    arguments = ["--config", write_config(tmp_path), "--trainer.precision", "bf16-mixed"]
    assert main([*arguments, "--trainer.max_epochs", "1"]) == 0
    assert ("--trainer.precision 32-true" in capsys.readouterr().err) is not native
