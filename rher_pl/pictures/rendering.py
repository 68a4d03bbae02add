"""Which OpenGL back end can draw without a display: tried out, not guessed.

A back end that does not work may hang or end the process, so each is tried in a process of its own.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys

from rher_pl.errors import ConfigError

BACKENDS = ("egl", "osmesa", "glfw")
"""In order of preference: graphics card or Mesa, Mesa in software, a display."""
PROBE_SECONDS = 60.0
INSTALL = "install one: apt-get install libegl1 (EGL) or libosmesa6 (OSMesa, software)"
PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='1' rgba='1 1 1 1'/></worldbody></mujoco>"
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data)
    assert renderer.render().max() > 0, "nothing was drawn"
"""


@functools.cache
def probe(backend: str) -> str:
    """Try to draw with a back end; returns "" if it works, else the reason in one line."""
    environment = os.environ | {"MUJOCO_GL": backend}
    environment.pop("PYOPENGL_PLATFORM", None)  # follows from the back end
    command = [sys.executable, "-c", PROBE]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no picture within {PROBE_SECONDS:.0f} s"
    if done.returncode == 0:
        return ""
    reasons = [line for line in done.stderr.splitlines() if line and not line.startswith(" ")]
    errors = [line for line in reasons if "Error" in line.partition(":")[0]]
    return (errors or reasons or [f"exit status {done.returncode}"])[0]


def candidates() -> tuple[str, ...]:
    """Back ends to try: the one that MUJOCO_GL names, else all that could work here."""
    if chosen := os.environ.get("MUJOCO_GL"):
        return (chosen,)
    return BACKENDS if os.environ.get("DISPLAY") else BACKENDS[:2]


def working_backend() -> str | None:
    """The first candidate that draws, or None."""
    return next((backend for backend in candidates() if not probe(backend)), None)


def advice() -> str:
    """Why no candidate draws, and what to do about it: what MUJOCO_GL names may be to blame."""
    tried = "; ".join(f"{name}: {probe(name):.60}" for name in candidates())
    if not (chosen := os.environ.get("MUJOCO_GL")):
        return f"({tried}): {INSTALL}"
    works = next((name for name in BACKENDS if name != chosen and not probe(name)), None)
    way = f"write MUJOCO_GL={works}, which works here" if works else f"unset it; {INSTALL}"
    return f"with MUJOCO_GL={tried}: {way}"


def use_backend() -> str:
    """Choose a back end that works for this process, and return its name.

    Raises:
        ConfigError: if none works.
    """
    backend = working_backend()
    if backend is None:
        raise ConfigError(f"cannot draw the simulator's camera {advice()}, or --view top")
    os.environ["MUJOCO_GL"] = backend  # read by Gymnasium when it first draws
    return backend
