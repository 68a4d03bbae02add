"""The example in C++ acts as the policy that it was exported from.

Skipped without a C++ compiler and without onnxruntime's headers, which no Python package brings.
The environment variable ``ONNXRUNTIME`` names a folder with ``include`` and, maybe, ``lib``.
Without ``lib`` the library of the Python package is used.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rher_pl import load_policy
from rher_pl.deploy.formats import FORMATS
from rher_pl.deploy.parity import stratified_states
from rher_pl.deploy.portable import INPUTS

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs"
HEADER = "onnxruntime_cxx_api.h"


def documented_commands() -> list[list[str]]:
    """The commands of the page: one that builds and one that runs."""
    fence = re.search(r"^```sh\n(.*?)^```", (EXAMPLES / "cpp.md").read_text(), re.M | re.S)
    assert fence is not None
    return [shlex.split(line) for line in fence[1].splitlines()]


def test_the_page_runs_what_it_builds() -> None:
    build, (program, model, *_) = documented_commands()
    assert build[0] == "c++" and program == f"./{build[build.index('-o') + 1]}"
    assert ROOT / build[build.index("-o") - 1] == EXAMPLES / "policy.cpp"
    assert model.endswith(".onnx")


@pytest.fixture(scope="module")
def onnxruntime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as a release archive is: ``include`` and ``lib``."""
    given = os.environ.get("ONNXRUNTIME", "")
    if not given or not (Path(given) / "include" / HEADER).is_file():
        pytest.skip(f"C++ EXAMPLE NOT BUILT: no include/{HEADER} in ONNXRUNTIME={given!r}")
    if (Path(given) / "lib").is_dir():
        return Path(given).absolute()
    package = pytest.importorskip("onnxruntime", reason="C++ EXAMPLE NOT BUILT: no onnxruntime")
    library = next(Path(package.__file__).parent.glob("capi/libonnxruntime.so.*"), None)
    if library is None:
        pytest.skip("C++ EXAMPLE NOT BUILT: this onnxruntime brings no library to link")
    folder = tmp_path_factory.mktemp("onnxruntime")
    (folder / "include").symlink_to((Path(given) / "include").absolute())
    (folder / "lib").mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):  # to link, and to run
        (folder / "lib" / name).symlink_to(library)
    return folder


@pytest.fixture(scope="module")
def program(onnxruntime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built as the page says, without a warning."""
    build, _ = documented_commands()
    compiler = os.environ.get("CXX") or build[0]
    if shutil.which(shlex.split(compiler)[0]) is None:
        pytest.skip(f"C++ EXAMPLE NOT BUILT: there is no compiler {compiler}")
    program = tmp_path_factory.mktemp("example") / "policy"
    words = [word.replace("$ONNXRUNTIME", str(onnxruntime)) for word in build[1:]]
    words[words.index("-o") + 1] = str(program)
    command = [*shlex.split(compiler), *words, "-Wall", "-Wextra"]
    built = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert built.returncode == 0, built.stderr
    assert not re.search(r"policy\.cpp:\d+:\d+: warning", built.stderr), built.stderr
    return program


@pytest.fixture(scope="module")
def model(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the policy ``push``."""
    pytest.importorskip("onnxscript", reason="C++ EXAMPLE NOT RUN: no onnxscript to export with")
    path = tmp_path_factory.mktemp("exported") / "push.onnx"
    FORMATS["onnx"].write(load_policy("push").portable, path)
    return path


def run(program: Path, *arguments: Path, states: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, input=states, capture_output=True, text=True, check=False)


def some_states(count: int) -> NDArray[np.float64]:
    """States of every kind of the policy ``push``, [count, 31]."""
    inputs = stratified_states(load_policy("push").portable, count)
    return np.concatenate([value.double().numpy() for value in inputs], axis=1)


def written(states: NDArray[np.float64]) -> str:
    """One state a line."""
    return "".join(" ".join(map(repr, state)) + "\n" for state in states.tolist())


def test_it_acts_as_the_policy(program: Path, model: Path) -> None:
    states, policy = some_states(5), load_policy("push")
    done = run(program, model, states=written(states))
    assert (done.returncode, done.stderr) == (0, "")
    actions = np.array([line.split() for line in done.stdout.splitlines()], dtype=np.float64)
    ends = np.cumsum(list(policy.portable.sizes.values()))[:-1]
    expected = policy(dict(zip(INPUTS, np.split(states, ends, axis=1), strict=True)))
    assert expected.shape == (5, 4) and np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(actions, expected, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("wrong", ["", "1.0 2.0", "{state} 0.5", "{state} x", "{short} x"])
def test_another_count_of_numbers_ends_it(program: Path, model: Path, wrong: str) -> None:
    good = written(some_states(1))
    line = wrong.format(state=good.strip(), short=" ".join(good.split()[:-1]))
    done = run(program, model, states=f"{good}{line}\n{good}")
    assert (done.returncode, done.stderr) == (2, "line 2 must hold 31 numbers: 25, 3 and 3\n")
    assert len(done.stdout.splitlines()) == 1  # of the line before


def test_a_file_that_is_missing_is_one_line(program: Path, tmp_path: Path) -> None:
    done = run(program, tmp_path / "none.onnx")
    assert done.returncode == 1 and "none.onnx" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout
    assert run(program).returncode == 2
