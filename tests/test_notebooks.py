"""The notebooks: executed and small as committed, and their code still runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMIT = 300_000  # bytes


def all_cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return cells


def is_skipped(cell: dict[str, Any]) -> bool:
    """Whether it is for Colab alone: neither we nor ``notebooks/run.py`` execute it."""
    return "skip-execution" in cell["metadata"].get("tags", ())


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [c for c in all_cells(path) if c["cell_type"] == "code" and not is_skipped(c)]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_first_code_is_for_colab_and_says_that_it_was_not_tried(path: Path) -> None:
    first, *others = [cell for cell in all_cells(path) if cell["cell_type"] == "code"]
    assert is_skipped(first) and not any(map(is_skipped, others))
    assert "%pip install" in first["source"][-1] and "not tried" in first["source"][0]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_executed_without_faults_and_small(path: Path) -> None:
    assert path.stat().st_size < LIMIT
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert "error" not in kinds and kinds
    for place in ("/home/", "/root/", "/tmp/", "sqlite:////", "/bin/python"):  # of one machine
        assert place not in path.read_text(), place


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_code_runs_on_a_small_budget(path: Path, tmp_path: Path) -> None:
    """As a plain script, beside a shrunk config: the kernel adds nothing that could break here."""
    values = yaml.safe_load((ROOT / "configs" / "point_push.yaml").read_text())
    values["data"] |= {"num_envs": 2, "random_episodes": 2, "updates_per_episode": 2}
    values["data"] |= {"eval_every_env_steps": 100, "eval_episodes": 10, "eval_envs": 10}
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "point_push.yaml").write_text(yaml.safe_dump(values))
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join("".join(cell["source"]) for cell in code_cells(path)))
    environment = os.environ | {
        "NOTEBOOK_BUDGET": "0.1",
        "NOTEBOOK_RUNS": str(tmp_path / "runs"),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "fresh episodes" in done.stdout
    assert (tmp_path / "runs" / "mlflow.db").exists()
