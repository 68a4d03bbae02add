"""TD3 whose updates are computed in C++, see ``learning.cpp``."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from rher_pl.choices import Engine
from rher_pl.errors import ConfigError
from rher_pl.learner.adam import MOMENTS, is_plain
from rher_pl.learner.batches import SUBSET, Batch, sound_batches
from rher_pl.learner.native.library import Call, load
from rher_pl.learner.td3 import TD3
from rher_pl.networks.actor_critic import NetworkSizes

AT_ONCE = 100
"""Most updates in one call into C++, which cannot be interrupted: half a second, at usual sizes."""

FLOATS = ("inputs", "action", "next_inputs", "noise", "reward")


class NativeTD3(TD3):
    """TD3 on a CPU with one or two critics without layer normalisation."""

    _scratch: tuple[tuple[int, ...], Tensor] | None = None

    @property
    def engine(self) -> Engine:  # type: ignore[override]
        """Native, or eager while C++ does not support an optimizer, the device, or the type."""
        known = (
            self.device.type == "cpu"
            and self.compute_type in NativeTD3.types()
            and is_plain(self.critic_optimizer, self.critic)
            and is_plain(self.actor_optimizer, self.actor)
        )
        return Engine.native if known else Engine.eager

    @staticmethod
    def types() -> set[torch.dtype]:
        """Dtypes in which C++ computes hidden layers on this CPU.

        A CPU that multiplies whole tiles of bfloat16 (AMX) does so in PyTorch, and not in C++ here.
        """
        features = torch.cpu.get_capabilities()
        pairs = features.get("avx512_bf16", False) and not features.get("amx_bf16", False)
        return {torch.float32, torch.bfloat16} if pairs else {torch.float32}

    @staticmethod
    def obstacle(sizes: NetworkSizes, dtype: torch.dtype, device: torch.device) -> str | None:
        """Why C++ does not train such networks in ``dtype`` on ``device``; None if it does."""
        if device.type != "cpu":
            return f"it trains on a CPU, not on {device.type}"
        if sizes.critics > SUBSET or sizes.critic_layer_norm:
            return f"it supports at most {SUBSET} critics, without layer normalisation"
        if dtype not in NativeTD3.types():
            return f"it does not compute in {dtype} on this CPU"
        return None

    def learn(self, batches: Batch) -> dict[str, Tensor]:
        """See :meth:`TD3.learn`; settings are those at the time of the call."""
        if self.engine != Engine.native:
            return super().learn(batches)
        batches = sound_batches(batches, self.sizes, self.device)
        parts = zip(*(value.split(AT_ONCE) for value in batches.values()))
        done = [self._learn_at_once(dict(zip(batches, part))) for part in parts]
        metrics = {name: torch.cat([d[name] for d in done], dim=-1) for name in done[0]}
        return {name: values for name, values in metrics.items() if values.numel()}

    def _learn_at_once(self, batches: Batch) -> dict[str, Tensor]:
        """An update for each of the ``batches`` [U, B, ...], all in one call."""
        updates, batch_size = batches["inputs"].shape[:2]
        call = self._call(updates, batch_size)
        actor_updates = (self.updates + updates) // self.policy_delay
        actor_updates -= self.updates // self.policy_delay
        q = torch.empty(self.sizes.critics, updates * batch_size)
        critic_loss = torch.empty(updates, dtype=torch.float64)
        actor_loss = torch.empty(actor_updates, dtype=torch.float64)
        samples = [batches[name].contiguous() for name in (*FLOATS, "terminated")]
        tensors = [*samples, q, critic_loss, actor_loss, *self._trained()]
        addresses = (ctypes.c_void_p * len(tensors))(*[tensor.data_ptr() for tensor in tensors])
        scratch = ctypes.c_void_p(self._room(call).data_ptr())
        load().learn(ctypes.byref(call), addresses, scratch)
        self.updates += updates
        return {"critic_loss": critic_loss.float(), "actor_loss": actor_loss.float(), "q": q}

    def _call(self, updates: int, batch_size: int) -> Call:
        sizes = self.sizes
        rules = [
            (ctypes.c_double * 4)(group["lr"], *group["betas"], group["eps"])
            for optimizer in (self.critic_optimizer, self.actor_optimizer)
            for group in optimizer.param_groups
        ]
        return Call(
            *(batch_size, sizes.inputs, sizes.actions, sizes.hidden_size, sizes.hidden_layers),
            *(sizes.critics, min(torch.get_num_threads(), batch_size)),
            *(self.compute_type == torch.bfloat16, updates, self.bounded_target),
            *(self.updates % self.policy_delay, self.policy_delay),
            *(self.gamma, self.noise_clip, self.action_l2, self.tau, self.average_rate),
            *rules,
        )

    def _room(self, call: Call) -> Tensor:
        """Scratch memory, kept while the sizes stay the same."""
        sizes = (call.batch, call.threads, call.reduced)
        if self._scratch is None or self._scratch[0] != sizes:
            size = load().scratch_size(ctypes.byref(call))
            self._scratch = (sizes, torch.empty(size, dtype=torch.uint8))
        return self._scratch[1]

    def _trained(self) -> Iterator[Tensor]:
        """All that an update changes, checked, in the order of ``struct Tensors``."""
        inputs, actions = self.sizes.inputs, self.sizes.actions
        critic = self._shapes(self.sizes.critics, inputs + actions, 1)
        actor = self._shapes(1, inputs, actions)
        for name, shapes, optimizer, followers in (
            ("critic", critic, self.critic_optimizer, (self.target_critic,)),
            ("actor", actor, self.actor_optimizer, (self.target_actor, self.averaged_actor)),
        ):
            weights = optimizer.param_groups[0]["params"]
            yield from _checked(f"the {name}", weights, shapes)
            for key in (*MOMENTS, "step"):
                values = [optimizer.state[weight][key] for weight in weights]
                wanted = [()] * len(shapes) if key == "step" else shapes
                yield from _checked(f"{key} of the {name}'s optimizer", values, wanted)
            for follower in followers:
                yield from _checked(f"the slow {name}", list(follower.parameters()), shapes)

    def _shapes(self, members: int, inputs: int, outputs: int) -> list[tuple[int, ...]]:
        """Shapes of weight and bias of each layer, first to last."""
        widths = [inputs, *[self.sizes.hidden_size] * self.sizes.hidden_layers, outputs]
        shapes: list[tuple[int, ...]] = []
        for n, m in pairwise(widths):
            shapes += [(members, n, m), (members, 1, m)]
        return shapes


def _checked(name: str, values: list[Tensor], shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """The same tensors, if they are contiguous float32 on the CPU in these shapes."""
    if len(values) != len(shapes) or not all(map(_fits, values, shapes)):
        raise ConfigError(
            f"{name} is not contiguous float32 of the shapes {shapes}: the checkpoint is damaged "
            "or of another network, begin without --ckpt_path"
        )
    return values


def _fits(value: object, shape: tuple[int, ...]) -> bool:
    return (
        isinstance(value, Tensor)
        and (value.shape, value.dtype, value.device.type) == (shape, torch.float32, "cpu")
        and value.is_contiguous()
    )
