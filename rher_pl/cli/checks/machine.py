"""What this machine can do: draw, compute, and keep records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from rher_pl.cli.checks.finding import Finding, Level
from rher_pl.errors import ConfigError
from rher_pl.system import usable_cores

LEAST_DISK = 0.5e9
"""Bytes; a run with its checkpoints takes about 0.1e9."""


def check_rendering() -> Finding:
    from rher_pl.pictures.rendering import INSTALL, candidates, probe

    tried = {backend: probe(backend) for backend in candidates()}
    working = [backend for backend, reason in tried.items() if not reason]
    if working:
        return Finding("rendering", Level.OK, f"{working[0]} draws without a display")
    reasons = "; ".join(f"{backend}: {reason}" for backend, reason in tried.items())
    fix = f"{INSTALL}; unset MUJOCO_GL" if "MUJOCO_GL" in os.environ else INSTALL
    return Finding("rendering", Level.SLOW, f"videos are plans from above ({reasons})", fix)


def check_cpu() -> Iterator[Finding]:
    import torch

    from rher_pl.learner.native.learner import NativeTD3
    from rher_pl.learner.native.library import is_available
    from rher_pl.learner.precision import compute_type, cpu_has_bfloat16, default_precision

    features = torch.cpu.get_capabilities()
    wide = [n for n in ("amx_bf16", "avx512_bf16", "avx512_f", "avx2") if features.get(n)]
    bfloat16 = cpu_has_bfloat16()
    detail = ", ".join(wide) or "no wide vectors"
    note = "trains in bf16-mixed" if bfloat16 else "no bfloat16: trains in 32-true, more slowly"
    yield Finding("cpu", Level.OK if bfloat16 else Level.SLOW, f"{detail}; {note}")
    suits = compute_type(default_precision()) in NativeTD3.types()
    native = suits and is_available()
    yield Finding(
        "compiler",
        Level.OK if native or not suits else Level.SLOW,
        f"updates are computed {'in C++' if native else 'by PyTorch'}",
        "" if native or not suits else "install g++: updates are then faster",
    )
    cores, threads = usable_cores(), torch.get_num_threads()
    fits = threads <= cores
    yield Finding(
        "threads",
        Level.OK if fits else Level.SLOW,
        f"torch uses {threads} of {cores} cores",
        "" if fits else f"set OMP_NUM_THREADS to at most {cores}",
    )


def check_gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("gpu", Level.OK, "none; none is needed, the CPU trains")
    name = torch.cuda.get_device_name()
    return Finding("gpu", Level.OK, f"{name}; the CPU trains by default")


def check_folder(folder: str) -> Iterator[Finding]:
    """Whether the output folder can be made or written, without making it."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    writable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    yield Finding(
        "output folder",
        Level.OK if writable else Level.BROKEN,
        f"{folder} can {'' if writable else 'not '}be written",
        "" if writable else "choose another with --recorder.folder",
    )
    free = shutil.disk_usage(place).free
    enough = free >= LEAST_DISK
    yield Finding(
        "disk",
        Level.OK if enough else Level.BROKEN,
        f"{free / 1e9:.1f} GB free",
        "" if enough else "make room, or choose another folder with --recorder.folder",
    )


def check_tracking(folder: str, tracking_uri: str | None) -> Finding:
    """Whether the MLflow store answers; a default store that is not there yet is fine."""
    from rher_pl.tracking.store import default_store, named_by, sqlite_path, store_of
    from rher_pl.tracking.uri import check_tracking_uri

    uri = store_of(folder, tracking_uri)
    file = sqlite_path(uri)
    if uri == default_store(folder) and file is not None and not file.exists():
        return Finding("tracking", Level.OK, f"{uri}, made by the first run")
    try:
        check_tracking_uri(uri, named_by(tracking_uri, "tracking_uri"))
    except ConfigError as error:
        message, _, fix = str(error).rpartition(": ")
        return Finding("tracking", Level.BROKEN, message, fix)
    shown = uri if "@" not in uri else uri.partition("://")[0]  # it may hold a password
    return Finding("tracking", Level.OK, f"{shown} answers")
