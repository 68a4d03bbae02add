"""The policy of a module in memory, of the same type as one from a file."""

from __future__ import annotations

import copy

from rher_pl.checkpoints.policy import EXPLORATION, STEPS, StoredPolicy
from rher_pl.deploy.portable import PortablePolicy
from rher_pl.deploy.trained import TrainedPolicy
from rher_pl.training.module import RHERModule


def policy_of(module: RHERModule) -> TrainedPolicy:
    """A copy of the policy that a module evaluates; further training does not change it.

    Args:
        module: trained, or being trained, on any device.
    """
    policy = copy.deepcopy(module.evaluated_policy).eval().requires_grad_(False)
    trainer = module._trainer  # None if no trainer has used the module
    data = getattr(getattr(trainer, "datamodule", None), "hparams", {})
    stored = StoredPolicy(
        module.entry(),
        dict(module.hparams),
        {name: data[name] for name in EXPLORATION if name in data},
        policy.state_dict(),
        "the module",
        data.get(STEPS),
    )
    portable = PortablePolicy(policy, module.task.interface)
    return TrainedPolicy(policy, portable, stored, "module")
