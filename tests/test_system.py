"""What stands in where a system is not Linux."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rher_pl import limits, system
from rher_pl.learner.native import library


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    with open(tmp_path / "lock", "a+") as first, open(tmp_path / "lock", "a+") as second:
        assert system.locked(first) and not system.locked(second)
        first.close()
        assert system.locked(second, wait=True)


def test_without_locks_each_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "fcntl", None)
    with open(tmp_path / "lock", "a+") as first, open(tmp_path / "lock", "a+") as second:
        assert system.locked(first) and system.locked(second)


def test_it_is_imported_where_there_are_none() -> None:
    code = "import sys; sys.modules['fcntl'] = None; import rher_pl.tracking.run_lock as lock\n"
    code += "import rher_pl.tracking.store; print(lock.locked.__globals__['fcntl'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


def test_what_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= system.usable_cores() <= (os.cpu_count() or 1)
    assert 2**28 < system.physical_memory() < math.inf
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(limits, "CONTAINER_LIMIT", Path("nowhere"))
    assert system.usable_cores() == os.cpu_count()
    limits.require_memory(1e18, "nothing can be said against any")


def test_without_owners_no_library_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "has_owners", lambda: False)
    with pytest.raises(library.Unavailable, match="no C\\+\\+ on this system"):
        library._compiler()


def test_make_setup_refuses_another_python_before_it_downloads(tmp_path: Path) -> None:
    """A stand-in that answers as Python 3.9 does to the question for its version."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((Path(__file__).parents[1] / name).read_bytes())
    python = tmp_path / "python3.9"
    python.write_text('#!/bin/sh\ncase "$2" in *version_info*) exit 1;; esac\ntouch called\n')
    python.chmod(0o755)
    command = ["make", "setup", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "is not Python 3.10 to 3.13: make setup PYTHON=python3.12" in done.stderr
    assert not (tmp_path / "called").exists() and not (tmp_path / ".venv").exists()
