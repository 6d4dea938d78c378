"""Renders RGB, metric depth, classes and instances of a compiled room."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import CooperError
from cooper_ros.sim import opengl
from cooper_ros.sim.load_mujoco import mujoco
from cooper_ros.sim.world import FAR_M, NEAR_M, World


def _context(width: int, height: int) -> Any:
    """MuJoCo's OpenGL context, current in this thread, of the renderer that `opengl` chooses.

    Not `mujoco.gl_context`: that chooses when mujoco is first imported, perhaps by others.
    """
    try:
        name = opengl.choose()
        context = importlib.import_module(f"mujoco.{name}").GLContext(width, height)
        context.make_current()
    except opengl.NoRendererError as error:
        raise CooperError(str(error)) from error
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise CooperError(f"OpenGL by {name} could not be started: {error}") from error
    return context


@dataclass
class Pose:
    """Camera position (m) and rotation f64[3,3] from camera (x right, y up, z back) to room."""

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    hfov_deg: float


@dataclass
class Geometry:
    """What does not depend on light: depth f32[H,W] (z, m), classes and instances u8[H,W]."""

    depth: NDArray[np.float32]
    classes: NDArray[np.uint8]
    instances: NDArray[np.uint8]


class Renderer:
    """One OpenGL context per process, reused for many worlds (a context costs 0.2 s)."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._gl: Any = _context(width, height)
        self._context: Any = None
        self._world: World | None = None
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = 0
        self._option = mujoco.MjvOption()
        self._rgb = np.empty((height, width, 3), np.uint8)
        self._depth = np.empty((height, width), np.float32)

    def load(self, world: World) -> None:
        """Upload a world; frees the one before."""
        self._gl.make_current()
        self._free_context()
        self._world = world
        self._data = mujoco.MjData(world.model)
        self._scene = mujoco.MjvScene(world.model, maxgeom=2000)
        self._context = mujoco.MjrContext(world.model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        # Models from files have walls without thickness: draw both sides, as eyes expect.
        self._scene.flags[mujoco.mjtRndFlag.mjRND_CULL_FACE] = False
        mujoco.mj_forward(world.model, self._data)

    def look(self, pose: Pose) -> None:
        """Move the camera; square pixels, so the vertical field follows from the picture size."""
        assert self._world is not None
        model = self._world.model
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(pose.rotation).ravel())
        model.cam_pos[0], model.cam_quat[0] = pose.position, quaternion
        half = np.tan(np.radians(pose.hfov_deg) / 2) * self.height / self.width
        model.cam_fovy[0] = np.degrees(2 * np.arctan(half))
        mujoco.mj_camlight(model, self._data)
        mujoco.mjv_updateScene(
            model,
            self._data,
            self._option,
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )

    def geometry(self) -> Geometry:
        """Depth and labels of the present view in one flat pass."""
        assert self._world is not None
        self._gl.make_current()
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = True
        mujoco.mjr_render(self._rect, self._scene, self._context)
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = False
        mujoco.mjr_readPixels(self._rgb, self._depth, self._rect, self._context)
        number = self._rgb[::-1, :, 0].astype(np.uint16)  # OpenGL's first row is the lowest
        if self._scene.ngeom > 254:
            number |= np.left_shift(self._rgb[::-1, :, 1], 8, dtype=np.uint16)
        class_of = np.zeros(self._scene.ngeom + 1, np.uint8)
        instance_of = np.zeros(self._scene.ngeom + 1, np.uint8)
        bodies = self._world.model.geom_bodyid
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0:
                body = bodies[geom.objid]
                class_of[geom.segid + 1] = self._world.body_class[body]
                instance_of[geom.segid + 1] = self._world.body_instance[body]
        # Reverse z: buffer d = near (far - z) / (z (far - near)), solved for z.
        depth = NEAR_M * FAR_M / (self._depth * (FAR_M - NEAR_M) + NEAR_M)
        return Geometry(
            np.ascontiguousarray(depth[::-1]).astype(np.float32, copy=False),
            class_of.take(number),
            instance_of.take(number),
        )

    def colour(self) -> NDArray[np.uint8]:
        """RGB u8[H,W,3] of the present view."""
        self._gl.make_current()
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._rgb, None, self._rect, self._context)
        return np.ascontiguousarray(self._rgb[::-1])

    def _free_context(self) -> None:
        if self._context is not None:
            self._context.free()
            self._context = None

    def close(self) -> None:
        """Free OpenGL objects; must be called before the interpreter ends."""
        if self._gl is not None:
            self._gl.make_current()
            self._free_context()
            self._gl.free()
            self._gl = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
