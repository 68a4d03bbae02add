"""Files in which a policy can be used without this package, and how each is read back."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rher_pl.deploy.parity import stratified_states
from rher_pl.deploy.portable import INPUTS, PortablePolicy
from rher_pl.errors import ConfigError

Actions = Callable[..., Tensor]
"""Observation, achieved goal and desired goal [B, ...] to actions [B, A]."""

ONNX_PACKAGES = "pip install onnx onnxruntime onnxscript"


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        suffix: of its files.
        write: policy and path to a file.
        read: path to a function that acts.
    """

    suffix: str
    write: Callable[[PortablePolicy, Path], None]
    read: Callable[[Path], Actions]


def _dynamic_shapes() -> dict[str, dict[int, Any]]:
    batch = torch.export.Dim("batch", min=1)
    return {name: {0: batch} for name in INPUTS}


def example(policy: PortablePolicy) -> tuple[Tensor, ...]:
    """Two states in float64, as Gymnasium gives them: a file takes the dtype it was traced with."""
    return tuple(value.double() for value in stratified_states(policy, 2))


def write_torch_export(policy: PortablePolicy, path: Path) -> None:
    inputs = example(policy)
    with _quiet():
        program = torch.export.export(policy, inputs, dynamic_shapes=_dynamic_shapes())
        torch.export.save(program, path)


def read_torch_export(path: Path) -> Actions:
    with _quiet():
        module = torch.export.load(path).module()
    return lambda *inputs: module(*(value.double() for value in inputs))


def write_torchscript(policy: PortablePolicy, path: Path) -> None:
    with _quiet():
        torch.jit.trace(policy, example(policy), check_trace=False).save(str(path))


def read_torchscript(path: Path) -> Actions:
    with _quiet():
        return torch.jit.load(str(path))


def write_onnx(policy: PortablePolicy, path: Path) -> None:
    """Write ONNX with named float64 inputs, ``action`` as output, and a free batch size."""
    _require_onnx()
    with _quiet():
        program = torch.onnx.export(
            policy,
            example(policy),
            input_names=list(INPUTS),
            output_names=["action"],
            dynamic_shapes=_dynamic_shapes(),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)


def read_onnx(path: Path) -> Actions:
    _require_onnx()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def act(*inputs: Tensor) -> Tensor:
        feed = {name: value.double().numpy() for name, value in zip(INPUTS, inputs, strict=True)}
        return torch.from_numpy(session.run(["action"], feed)[0])

    return act


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"ONNX needs the package {error.name}: {ONNX_PACKAGES}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's notes to its developers, and that TorchScript, asked for, is deprecated."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


FORMATS = {
    "onnx": Format(".onnx", write_onnx, read_onnx),
    "torchscript": Format(".ts", write_torchscript, read_torchscript),
    "torch_export": Format(".pt2", write_torch_export, read_torch_export),
}
"""By the name that the command line takes."""
