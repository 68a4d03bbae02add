"""Where a Fetch model keeps what a step reads and writes, and one simulation's views of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

GRIPPER = "robot0:grip"
FINGERS = ("robot0:r_gripper_finger_joint", "robot0:l_gripper_finger_joint")
SITE = mujoco.mjtObj.mjOBJ_SITE


class Addresses(NamedTuple):
    """Ids and addresses of a model.

    Args:
        sites: of the gripper and of each object.
        places: for each place, whether it is a site (else a body), and its id.
        fingers: the finger joints in ``qpos``.
        finger_dof: the finger joints in ``qvel``.
        welded_body: the body that is welded to the mocap body, which drags it.
        mocap: number of that mocap body.
        ctrl: addresses in ``qpos`` of the positions to which the actuators' commands are relative;
            None without actuators.
    """

    sites: list[int]
    places: list[tuple[bool, int]]
    fingers: slice
    finger_dof: slice
    welded_body: int
    mocap: int
    ctrl: NDArray[np.int32] | None

    @property
    def num_objects(self) -> int:
        return len(self.sites) - 1


def find_addresses(model: Any, objects: Sequence[str], places: Sequence[str]) -> Addresses:
    """Addresses of a model.

    Args:
        model: of MuJoCo, with one weld, which ties the wrist to a mocap body.
        objects: names of their sites.
        places: names of their sites or bodies.
    """
    joints = [model.joint(name).id for name in FINGERS]
    # A weld may name its two bodies in either order.
    first, second = int(model.eq_obj1id[0]), int(model.eq_obj2id[0])
    if model.body_mocapid[first] < 0:
        first, second = second, first
    return Addresses(
        sites=[model.site(name).id for name in (GRIPPER, *objects)],
        places=[_find_place(model, name) for name in places],
        fingers=_consecutive(model.jnt_qposadr[joints]),
        finger_dof=_consecutive(model.jnt_dofadr[joints]),
        welded_body=second,
        mocap=int(model.body_mocapid[first]),
        # Finger actuators, where a model has them, hold a position relative to the joint's own.
        ctrl=model.jnt_qposadr[model.actuator_trnid[:, 0]] if model.nu else None,
    )


def _find_place(model: Any, name: str) -> tuple[bool, int]:
    site = mujoco.mj_name2id(model, SITE, name)
    return (True, site) if site >= 0 else (False, model.body(name).id)


def _consecutive(addresses: Sequence[int]) -> slice:
    """The slice that picks ``addresses``; unlike indexing by them, it gives a view."""
    first = int(addresses[0])
    if list(addresses) != list(range(first, first + len(addresses))):
        raise ValueError(f"joints of a Fetch model were moved apart: addresses {addresses}")
    return slice(first, first + len(addresses))


class Row:
    """One simulation: its state, and views into it that stay valid for its lifetime.

    Args:
        model: of MuJoCo, shared by all rows.
        at: its addresses.
        jacobians: ``[1 + 2 objects, 3, nv]``, written to: Jacobians of the gripper's position, of
            the objects' positions, and of the objects' rotations.

    Attributes:
        positions: of the gripper, the objects and the places, [3] each.
        object_mats: rotation matrix of each object, [9].
    """

    def __init__(self, model: Any, at: Addresses, jacobians: FloatArray) -> None:
        self.data = data = mujoco.MjData(model)
        self.qpos, self.qvel, self.ctrl = data.qpos, data.qvel, data.ctrl
        self.fingers = data.qpos[at.fingers]
        self.body_pos, self.body_quat = data.xpos[at.welded_body], data.xquat[at.welded_body]
        self.mocap_pos, self.mocap_quat = data.mocap_pos[at.mocap], data.mocap_quat[at.mocap]
        places = [(data.site_xpos if is_site else data.xpos)[i] for is_site, i in at.places]
        self.positions = [*(data.site_xpos[site] for site in at.sites), *places]
        self.object_mats = [data.site_xmat[site] for site in at.sites[1:]]
        # (site, linear, angular): the gripper's rotation is not observed.
        turning = [None, *jacobians[len(at.sites) :]]
        self.jacobians = list(zip(at.sites, jacobians, turning))
