"""Camera poses as a small robot has them, and tests for views worth keeping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cooper_ros.core.types import Intrinsics
from cooper_ros.sim.render import Geometry, Pose
from cooper_ros.sim.rooms import Room

TARGET_SHARE = 0.45


@dataclass(frozen=True)
class Habits:
    """What cameras do: heights over the floor [m], wide range of the horizontal field of view
    [deg], nearest distance to a thing that is looked at [m], and how near a view may be on the
    whole (median depth) and in its nearest hundredth [m]."""

    low_m: float = 0.2
    high_m: float = 1.6
    fov_deg: tuple[float, float] = (45.0, 100.0)
    wide_share: float = 0.25
    near_m: float = 0.5
    median_m: float = 0.5
    nearest_m: float = 0.2


ROBOT = Habits()
"""Small robots; validation, test and the simulated camera. Never changed: figures depend on it."""

VARIED = Habits(0.05, 2.0, (40.0, 110.0), 0.5, 0.25, 0.35, 0.14)
"""Training: also cameras that stand on the floor, hang under a ceiling, or look at a tabletop."""


def look_at(position: np.ndarray, target: np.ndarray, roll: float, hfov_deg: float) -> Pose:
    """A pose at `position` looking at `target`, rolled by `roll` rad about the optical axis."""
    back = position - target
    back = back / np.linalg.norm(back)
    right = np.cross([0.0, 0, 1], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    c, s = np.cos(roll), np.sin(roll)
    rotation = np.stack([c * right + s * up, -s * right + c * up, back], axis=1)
    return Pose(position, rotation, hfov_deg)


def gravity(pose: Pose) -> np.ndarray:
    """Direction of gravity in the optical frame (x right, y down, z forward), unit length."""
    down = pose.rotation.T @ np.array([0.0, 0, -1])
    return down * np.array([1.0, -1, -1])


def optical_pose(pose: Pose) -> np.ndarray:
    """4x4 transform from the optical frame (x right, y down, z forward) to the room."""
    matrix = np.eye(4)
    matrix[:3, :3] = pose.rotation * np.array([1.0, -1, -1])
    matrix[:3, 3] = pose.position
    return matrix


def intrinsics(hfov_deg: float, width: int, height: int) -> Intrinsics:
    """Pinhole with square pixels; integer coordinates are pixel centres (ROS)."""
    focal = width / 2 / np.tan(np.radians(hfov_deg) / 2)
    return Intrinsics(float(focal), float(focal), (width - 1) / 2, (height - 1) / 2, width, height)


def _field_of_view(rng: np.random.Generator, habits: Habits) -> float:
    if rng.random() < 1 - habits.wide_share:
        return float(rng.uniform(50, 80))
    return float(rng.uniform(*habits.fov_deg))


def is_free(room: Room, x: float, y: float, z: float) -> bool:
    """Whether a camera at (x, y, z) is inside the room and beside or above the furniture."""
    if abs(x) > room.half_x - 0.15 or abs(y) > room.half_y - 0.15:
        return False
    return all(
        np.hypot(x - a, y - b) > r + 0.12 or z > tall + 0.12 for a, b, r, tall in room.occupied
    )


def sample_pose(room: Room, rng: np.random.Generator, habits: Habits = ROBOT) -> Pose:
    """A random robot-like view: 45 % look at small objects from 0.5 to 2.5 m."""
    hfov = _field_of_view(rng, habits)
    roll = float(rng.normal(0, 0.03))
    if room.targets and rng.random() < TARGET_SHARE:
        raised = [t for t in room.targets if t[2] > 0.3]
        choice = raised if raised and rng.random() < 0.75 else room.targets
        target = np.array(choice[rng.integers(len(choice))])
        target = target + [*rng.normal(0, 0.14, 2), rng.normal(0, 0.07)]
        for _ in range(30):
            angle, distance = rng.uniform(0, 2 * np.pi), rng.triangular(habits.near_m, 0.7, 2.4)
            lift = rng.uniform(0.05, 0.8)
            flat = distance * np.sqrt(1 - lift**2)
            x, y = target[0] + flat * np.cos(angle), target[1] + flat * np.sin(angle)
            z = float(np.clip(target[2] + distance * lift, habits.low_m, habits.high_m))
            if is_free(room, x, y, z):
                return look_at(np.array([x, y, z]), target, roll, hfov)
    position = np.array([0.0, 0.0, 1.0])
    for _ in range(40):
        position = np.array(
            [
                rng.uniform(-room.half_x + 0.2, room.half_x - 0.2),
                rng.uniform(-room.half_y + 0.2, room.half_y - 0.2),
                rng.uniform(habits.low_m, habits.high_m),
            ]
        )
        if is_free(room, *position):
            break
    if room.occupied and rng.random() < 0.6:
        goal = np.array(room.occupied[rng.integers(len(room.occupied))][:2])
    else:
        goal = -position[:2] * rng.uniform(0, 1, 2)
    heading = np.arctan2(goal[1] - position[1], goal[0] - position[0]) + rng.normal(0, 0.35)
    # the higher the camera the more it looks down
    pitch = rng.uniform(-0.08, 0.12 + 0.3 * position[2] / habits.high_m)
    forward = np.array(
        [np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), -np.sin(pitch)]
    )
    return look_at(position, position + forward, roll, hfov)


def worth_keeping(view: Geometry, habits: Habits = ROBOT) -> bool:
    """Reject views into a wall or from inside a thing, and views of almost one class."""
    depth = view.depth[::4, ::4]
    if np.median(depth) < habits.median_m or np.percentile(depth, 1) < habits.nearest_m:
        return False
    if view.depth.max() > 10.0:
        return False
    counts = np.bincount(view.classes[::4, ::4].ravel())
    return bool(counts.max() <= 0.8 * depth.size)
