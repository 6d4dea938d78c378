"""Turns a laid out room into a MuJoCo model."""

from __future__ import annotations

import numpy as np

from cooper_ros.core.classes import CLASS_IDS, STUFF
from cooper_ros.sim.load_mujoco import mujoco
from cooper_ros.sim.mesh import Part, Surface
from cooper_ros.sim.rooms import Placement, Room

NEAR_M, FAR_M = 0.03, 20.0
MAX_INSTANCES = 250
SHADOW_SIZE = 1024
"""Side of the shadow map in pixels; part of how training pictures look."""


class World:
    """A compiled room.

    Attributes: `model` (MjModel with one camera), `body_class` u8[nbody] class ids and
    `body_instance` u8[nbody] instance numbers (0 for floor, wall and ceiling).
    """

    def __init__(
        self,
        room: Room,
        rng: np.random.Generator,
        offscreen: tuple[int, int],
        shadow_size: int = SHADOW_SIZE,
    ) -> None:
        self._spec = mujoco.MjSpec()
        self._spec.compiler.balanceinertia = True  # flat bodies have no proper inertia
        self._rng = rng
        self._meshes: dict[int, str] = {}
        self._materials: dict[tuple, str] = {}
        self._keep: list[Part] = []
        self._quality(offscreen, shadow_size)
        placements = [*room.stuff, *room.objects][:MAX_INSTANCES]
        classes, instances = [0], [0]
        for number, placement in enumerate(placements):
            self._place(placement, number)
            classes.append(CLASS_IDS[placement.label])
            instances.append(0 if placement.label in STUFF else number)
        self._lights(room)
        self._spec.worldbody.add_camera(name="camera", pos=[0, 0, 1], fovy=60)
        self.model = self._spec.compile()
        self.body_class = np.array(classes, np.uint8)
        self.body_instance = np.array(instances, np.uint8)

    def _quality(self, offscreen: tuple[int, int], shadow_size: int) -> None:
        spec, rng = self._spec, self._rng
        visual = spec.visual
        visual.headlight.ambient = [rng.uniform(0.24, 0.42)] * 3
        visual.headlight.diffuse = [rng.uniform(0.05, 0.22)] * 3
        visual.headlight.specular = [0.0] * 3
        visual.map.znear, visual.map.zfar = NEAR_M, FAR_M
        spec.stat.extent = 1.0
        spec.stat.center = [0, 0, 1.0]
        visual.quality.shadowsize = shadow_size
        visual.quality.offsamples = 0
        visual.global_.offwidth, visual.global_.offheight = offscreen

    def _material(self, part: Part, tint: tuple[float, float, float]) -> str:
        key = (id(part.surface), tint)
        if key in self._materials:
            return self._materials[key]
        look: Surface = part.surface
        name = f"material{len(self._materials)}"
        material = self._spec.add_material(
            name=name,
            specular=look.specular,
            shininess=look.shininess,
            reflectance=0.0,
            emission=look.emission,
            texuniform=False,
            texrepeat=[1, 1],
        )
        if look.image is not None:
            image = look.image
            if tint != (1.0, 1.0, 1.0):
                image = np.clip(image * np.array(tint), 0, 255).astype(np.uint8)
            texture = self._spec.add_texture(
                name=f"texture{len(self._materials)}",
                type=mujoco.mjtTexture.mjTEXTURE_2D,
                width=image.shape[1],
                height=image.shape[0],
                nchannel=3,
            )
            texture.data = np.ascontiguousarray(image).tobytes()
            roles = [""] * int(mujoco.mjtTextureRole.mjNTEXROLE)
            roles[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = texture.name
            material.textures = roles
        else:
            colour = np.clip(np.array(look.colour) * tint, 0.01, 1)
            material.rgba = [*colour, 1.0]
        self._materials[key] = name
        return name

    def _mesh(self, part: Part) -> str:
        if id(part) not in self._meshes:
            name = f"mesh{len(self._meshes)}"
            mesh = part.mesh
            extra = {}
            if part.surface.image is not None:
                extra = {"usertexcoord": mesh.uv.ravel(), "userfacetexcoord": mesh.faces.ravel()}
            self._spec.add_mesh(
                name=name,
                uservert=mesh.vertices.ravel(),
                userface=mesh.faces.ravel(),
                inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
                **extra,
            )
            self._meshes[id(part)] = name
            self._keep.append(part)  # an id is only unique while its object lives
        return self._meshes[id(part)]

    def _place(self, placement: Placement, number: int) -> None:
        half = placement.yaw / 2
        body = self._spec.worldbody.add_body(
            name=f"{number}_{placement.label}",
            pos=list(placement.position),
            quat=[np.cos(half), 0, 0, np.sin(half)],
        )
        for part in placement.model.parts:
            geom = body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_MESH,
                meshname=self._mesh(part),
                contype=0,
                conaffinity=0,
            )
            geom.material = self._material(part, placement.tint)

    def _lights(self, room: Room) -> None:
        rng = self._rng
        for number in range(int(rng.integers(1, 3))):
            position = np.array(
                [
                    rng.uniform(-0.6, 0.6) * room.half_x,
                    rng.uniform(-0.6, 0.6) * room.half_y,
                    room.height - 0.15,
                ]
            )
            direction = np.array([0, 0, 0.3]) - position + rng.normal(0, 0.4, 3)
            self._spec.worldbody.add_light(
                pos=position,
                dir=direction / np.linalg.norm(direction),
                type=mujoco.mjtLightType.mjLIGHT_SPOT,
                cutoff=80,
                exponent=0.5,
                diffuse=np.clip(rng.uniform(0.25, 0.5) * (1 + rng.normal(0, 0.05, 3)), 0, 1),
                specular=[0.25] * 3,
                castshadow=number == 0,
            )
