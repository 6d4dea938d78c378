"""A simulated camera: endless frames of one room, with the truth beside them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.errors import CooperError
from cooper_ros.core.types import Intrinsics
from cooper_ros.sim import camera, photo, truth
from cooper_ros.sim.questions import CLEAR_FRACTION_NEAR
from cooper_ros.sim.render import Geometry, Pose, Renderer
from cooper_ros.sim.scene import Scene, scene_rng

STEP_S = 0.1
"""Simulated time between two frames."""

CANDIDATES, MAX_ROOMS = 40, 20
"""Views that are tried for the start, and rooms, where one has no view worth showing."""

WELL_VISIBLE_FRACTION, CUT_SHARE = 0.02, 0.5
"""From this share of the image on a thing counts in full; what the border cuts counts half."""

NEAR_VIEW_M, NEAR_PERCENT = 0.75, 15
"""Views of which more than this share is nearer are taken only for want of others."""

_SWAY_M = (0.22, 0.22, 0.10)
_PERIODS_S = (23.0, 31.0, 17.0)
_TRUTH_WIDTH = 160


@dataclass(frozen=True)
class VisibleObject:
    """One visible object; metres, and `u`, `v` in pixels of the image (median visible pixel).

    `fraction`: share of the image; `whole`: not cut by its border; `distance`: to the visible
    surface; `width`, `height`: visible extent with known gravity; `point`: component-wise median
    of the visible points, optical frame.
    """

    label: str
    class_id: int
    instance: int
    pixels: int
    fraction: float
    u: float
    v: float
    distance: float
    width: float
    height: float
    point: tuple[float, float, float]
    whole: bool


@dataclass(frozen=True)
class SimFrame:
    """A frame of the simulated camera and its truth.

    rgb u8[H,W,3]; depth f32[H,W] (z, m); labels u8[H,W] class ids; instances u16[H,W] (0 = floor,
    wall, ceiling); objects nearest first; pose f64[4,4] from the optical frame (x right, y down,
    z forward) to the room; free_space_m as in `core.geometry.free_space_ahead`; table f32[M,15]
    as `truth.object_table`.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    intrinsics: Intrinsics
    objects: tuple[VisibleObject, ...]
    pose: NDArray[np.float64]
    free_space_m: float
    table: NDArray[np.float32]


class SimCamera:
    """Sways slowly in front of the most interesting view of a room.

    Must be used in the thread that created it (OpenGL), and closed. The frames are a pure
    function of seed, size, field of view and split.
    """

    def __init__(
        self,
        seed: int = 0,
        width: int = 640,
        height: int = 480,
        hfov_deg: float = 70.0,
        split: str = "test",
    ) -> None:
        self.width, self.height = width, height
        self.intrinsics = camera.intrinsics(hfov_deg, width, height)
        # the object table needs no more pixels than this, and ten frames a second want it
        self._stride = max(1, width // _TRUTH_WIDTH)
        self._small = _strided(self.intrinsics, self._stride)
        self._renderer = Renderer(width, height)
        self._start, self._focus_m = self._furnish(seed, split, hfov_deg)
        self._phase = self._rng.uniform(0, 2 * np.pi, 3)
        self._sway = np.array(_SWAY_M) * self._free_share()
        noise = self._rng.normal(0, 2.0, (height + 64, width + 64, 3))
        # two unsigned halves, so that saturating arithmetic can add the noise
        self._noise = tuple(np.clip(n, 0, 255).astype(np.uint8) for n in (noise, -noise))
        self._count = 0
        self._gain: float | None = None

    def step(self) -> SimFrame:
        """Render the next frame, `STEP_S` later on the path."""
        pose = self._pose_at(self._count * STEP_S)
        self._renderer.look(pose)
        view = self._renderer.geometry()
        table, cut = self._table(view, pose), _cut(view)
        rgb = self._photograph(self._renderer.colour())
        self._count += 1
        return SimFrame(
            rgb=rgb,
            depth=view.depth,
            labels=view.classes,
            instances=view.instances.astype(np.uint16),
            intrinsics=self.intrinsics,
            objects=tuple(self._visible(row, cut) for row in table),
            pose=camera.optical_pose(pose),
            free_space_m=truth.free_space(self._subsampled(view).depth, self._small),
            table=table,
        )

    def close(self) -> None:
        """Free the OpenGL context."""
        self._renderer.close()

    def __enter__(self) -> SimCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the path -----------------------------------------------------------------------------

    def _furnish(self, seed: int, split: str, hfov_deg: float) -> tuple[Pose, float]:
        """Load the seed's room and find its best view; a room without one is left for another."""
        for room in range(MAX_ROOMS):
            size = (self.width, self.height)
            self.scene = Scene(seed + room * 2**32, split, size=size, shadow_size=512)
            self._rng = scene_rng(self.scene.seed, split, "stream")
            self._renderer.load(self.scene.world)
            found = self._best_view(hfov_deg)
            if found is not None:
                return found
        raise CooperError(f"seed {seed}: no view worth showing in {MAX_ROOMS} rooms")

    def _best_view(self, hfov_deg: float) -> tuple[Pose, float] | None:
        """Of some random views, the one with the most to ask about, and how far that is [m]."""
        best: tuple[float, Pose, float] | None = None
        for _ in range(CANDIDATES):
            pose = camera.sample_pose(self.scene.room, self._rng)
            pose = Pose(pose.position, pose.rotation, hfov_deg)
            if not camera.is_free(self.scene.room, *pose.position):
                continue
            self._renderer.look(pose)
            view = self._renderer.geometry()
            if not camera.worth_keeping(view):
                continue
            score = self._interest(view, pose)
            if best is None or score > best[0]:
                best = (score, pose, float(np.median(view.depth)))
        return best[1:] if best else None

    def _interest(self, view: Geometry, pose: Pose) -> float:
        """How much there is to ask about: things well visible, whole, and alone of their name."""
        found = self._table(view, pose)
        clear = found[found[:, truth.COLUMNS.index("fraction")] > CLEAR_FRACTION_NEAR]
        names = clear[:, truth.COLUMNS.index("class_id")]
        kinds, counts = np.unique(names, return_counts=True)
        cut = _cut(view)
        score = 0.5 * float((counts > 1).any())
        for row in clear:
            _, class_id, instance, fraction = row[:4]
            if counts[kinds == class_id] == 1:
                share = min(fraction / WELL_VISIBLE_FRACTION, 1.0)
                score += share * (CUT_SHARE if int(instance) in cut else 1.0)
        if np.percentile(view.depth[::4, ::4], NEAR_PERCENT) < NEAR_VIEW_M:
            score -= 3.0
        return score

    def _pose_at(self, seconds: float) -> Pose:
        angle = 2 * np.pi * seconds / np.array(_PERIODS_S) + self._phase
        start = self._start
        # sways about the start, in the camera's own axes, and keeps looking at the same place
        offset = np.sin(angle) - np.sin(self._phase)
        offset = offset * 0.5 * self._sway
        position = start.position + start.rotation @ (offset * np.array([1.0, 0.4, 0.6]))
        forward = -start.rotation[:, 2]
        target = start.position + forward * max(self._focus_m, 0.8)
        target = target + start.rotation[:, 0] * 0.25 * offset[1]
        return camera.look_at(position, target, 0.0, start.hfov_deg)

    def _free_share(self) -> float:
        """Largest of a few shares of the sway for which the camera stays in free space."""
        for share in (1.0, 0.6, 0.3):
            self._sway = np.array(_SWAY_M) * share
            path = [self._pose_at(2.0 * step).position for step in range(60)]
            if all(camera.is_free(self.scene.room, *position) for position in path):
                return share
        return 0.15

    # --- truth and picture ----------------------------------------------------------------------

    def _subsampled(self, view: Geometry) -> Geometry:
        s = slice(None, None, self._stride)
        return Geometry(
            np.ascontiguousarray(view.depth[s, s]), view.classes[s, s], view.instances[s, s]
        )

    def _table(self, view: Geometry, pose: Pose) -> NDArray[np.float32]:
        small = self._subsampled(view)
        return truth.object_table(
            small.depth, small.classes, small.instances, self._small, camera.gravity(pose)
        )

    def _visible(self, row: NDArray[np.float32], cut: set[int]) -> VisibleObject:
        value = dict(zip(truth.COLUMNS, (float(x) for x in row), strict=True))
        return VisibleObject(
            label=CLASS_NAMES[int(value["class_id"])],
            class_id=int(value["class_id"]),
            instance=int(value["instance"]),
            pixels=round(value["fraction"] * self.width * self.height),
            fraction=value["fraction"],
            u=value["u"] * self._small.width * self._stride,
            v=value["v"] * self._small.height * self._stride,
            distance=value["distance"],
            width=value["width"],
            height=value["height"],
            point=(value["point_x"], value["point_y"], value["point_z"]),
            whole=int(value["instance"]) not in cut,
        )

    def _photograph(self, clean: NDArray[np.uint8]) -> NDArray[np.uint8]:
        wanted = photo.exposure_gain(clean)
        # exposure follows slowly, as a camera's does
        self._gain = wanted if self._gain is None else 0.9 * self._gain + 0.1 * wanted
        y, x = self._rng.integers(0, 64, 2)
        more, less = (n[y : y + self.height, x : x + self.width] for n in self._noise)
        curve = np.clip(np.arange(256) * self._gain, 0, 255).astype(np.uint8)
        return np.asarray(cv2.subtract(cv2.add(cv2.LUT(clean, curve), more), less))


def _cut(view: Geometry) -> set[int]:
    """Numbers of the instances that touch the image's border."""
    seen = view.instances
    return set(np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]]).tolist())


def _strided(intrinsics: Intrinsics, stride: int) -> Intrinsics:
    """Intrinsics of every `stride`-th pixel, beginning with the first."""
    return Intrinsics(
        intrinsics.fx / stride,
        intrinsics.fy / stride,
        intrinsics.cx / stride,
        intrinsics.cy / stride,
        -(-intrinsics.width // stride),
        -(-intrinsics.height // stride),
    )
