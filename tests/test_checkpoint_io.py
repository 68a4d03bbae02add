"""Checkpoint files are whole or not seen, and never trusted."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from rher_pl.checkpoints.file import (
    link_checkpoint,
    read_checkpoint_file,
    without_marks,
    write_checkpoint,
)
from rher_pl.checkpoints.seal import check_seal, seal
from rher_pl.errors import ConfigError

CONTENT = {"weights": torch.arange(300.0), "plain": {"a": [1, 2.5, None, "ε"], "b": (True,)}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.ckpt"
    write_checkpoint(CONTENT, path)
    return path


def is_whole(path: Path) -> bool:
    with open(path, "rb") as file:
        try:
            check_seal(file)
        except ConfigError:
            return False
    return True


def test_what_is_written_is_read(path: Path) -> None:
    content = read_checkpoint_file(path)
    assert torch.equal(content["weights"], CONTENT["weights"])
    assert content["plain"] == CONTENT["plain"]
    assert {"rher_pl", "torch", "mujoco"} <= set(content["header"]["versions"])
    assert [each.name for each in path.parent.iterdir()] == ["some.ckpt"]


def test_what_torch_compile_hangs_on_tensors_is_not_written(tmp_path: Path) -> None:
    marked = torch.ones(3)
    marked._dynamo_static_input_type = "unguarded"  # type: ignore[attr-defined]
    content = {"optimizer_states": [{"state": {0: {"exp_avg": marked}}}], "pair": (marked, 1)}
    write_checkpoint(content, tmp_path / "marked.ckpt")
    read = read_checkpoint_file(tmp_path / "marked.ckpt")
    assert torch.equal(read["optimizer_states"][0]["state"][0]["exp_avg"], torch.ones(3))
    assert vars(marked), "what is live keeps it"
    several: list[Any] = [marked]
    for _ in range(60):  # copied one by one, these would be 2 to the 60
        several = [several, several]
    several.append(several)
    found = without_marks({"a": several, "b": several})
    assert found["a"] is found["b"] is found["a"][2] and found["a"][0] is found["a"][1]


def test_other_tools_can_open_it(path: Path) -> None:
    assert torch.equal(torch.load(path, weights_only=True)["weights"], CONTENT["weights"])
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_every_flipped_byte_is_found(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not is_whole(path), place
    path.write_bytes(whole)
    assert is_whole(path)


def test_every_shorter_or_longer_file_is_found(path: Path) -> None:
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 13), len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert not is_whole(path), size
    path.write_bytes(whole + b"\0")
    assert not is_whole(path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_one_before(
    call: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint({"weights": torch.zeros(3)}, path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["some.ckpt"]


def test_a_linked_checkpoint_stays_when_the_first_is_replaced(path: Path) -> None:
    link_checkpoint(path, "best.ckpt")
    write_checkpoint({"weights": torch.zeros(1)}, path)
    link_checkpoint(path, "other.ckpt")
    link_checkpoint(path, "other.ckpt")
    best = read_checkpoint_file(path.with_name("best.ckpt"))
    assert torch.equal(best["weights"], CONTENT["weights"])
    names = sorted(each.name for each in path.parent.iterdir())
    assert names == ["best.ckpt", "other.ckpt", "some.ckpt"]


def assert_refused(path: Path, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint) as refusal:
        read_checkpoint_file(path)
    assert "\n" not in str(refusal.value) and str(path) in str(refusal.value)


def test_code_is_refused_unrun(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    write_checkpoint({"trap": Trap()}, tmp_path / "trap.ckpt")
    assert is_whole(tmp_path / "trap.ckpt")  # a seal is no proof of good intentions
    assert_refused(tmp_path / "trap.ckpt", "code or foreign types")
    assert not (tmp_path / "sprung").exists()


def test_an_allowed_call_that_takes_memory_is_refused(tmp_path: Path) -> None:
    class Greedy:
        def __reduce__(self) -> tuple[Any, tuple[int]]:
            return bytearray, (1 << 40,)

    write_checkpoint({"greedy": Greedy()}, tmp_path / "greedy.ckpt")
    assert_refused(tmp_path / "greedy.ckpt", "bytearray")


def test_a_zip_bomb_is_refused_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(50 << 20))
    with open(path, "rb+") as file:
        seal(file)
    assert path.stat().st_size < 1 << 20
    assert_refused(path, "compressed")


def test_a_tensor_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    write_checkpoint({"wide": torch.zeros(1).expand(1 << 30)}, tmp_path / "wide.ckpt")
    assert_refused(tmp_path / "wide.ckpt", "larger than the file")


def test_another_format_is_refused_with_the_reason(tmp_path: Path) -> None:
    write_checkpoint({"header": {"format": 99, "versions": {}}}, tmp_path / "new.ckpt")
    assert_refused(tmp_path / "new.ckpt", "format 99, this version reads 1 to 2")


@pytest.mark.parametrize("name", ["missing.ckpt", "x" * 300 + ".ckpt"])
def test_a_file_that_is_not_there_is_one_short_line(name: str) -> None:
    with pytest.raises(ConfigError, match="no checkpoint") as refusal:
        read_checkpoint_file(Path(name))
    assert len(str(refusal.value)) <= 300
