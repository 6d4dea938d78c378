"""`import mujoco`, whatever $MUJOCO_GL says: import `mujoco` from here.

At its import MuJoCo opens the OpenGL of $MUJOCO_GL, and fails with an AttributeError where that
is not installed. Which OpenGL is used, `cooper_ros.sim.opengl` decides, and says why not.
"""

from __future__ import annotations

import os

_wanted = os.environ.pop("MUJOCO_GL", None)
try:
    import mujoco
finally:
    if _wanted is not None:
        os.environ["MUJOCO_GL"] = _wanted

__all__ = ["mujoco"]
