"""Furnishes a room. No renderer is involved: the result is a list of placed models."""

from __future__ import annotations

import numpy as np

from cooper_ros.sim.assets import AssetSet
from cooper_ros.sim.clutter import fill_boards
from cooper_ros.sim.mesh import rotation_z
from cooper_ros.sim.rooms import ModelChooser, Placement, Room
from cooper_ros.sim.shapes import procedural
from cooper_ros.sim.shell import add_shell


class Decorator:
    """Chooses models and places of one room; every choice comes from `rng`."""

    def __init__(self, rng: np.random.Generator, split: str, assets: AssetSet) -> None:
        self.rng = rng
        self.chooser = ModelChooser(rng, split, assets)

    def room(self) -> Room:
        """Build everything."""
        rng = self.rng
        room = Room(rng.uniform(1.6, 3.5), rng.uniform(1.5, 3.0), rng.uniform(2.35, 2.9))
        add_shell(room, rng)
        for _ in range(1 + int(rng.random() < 0.45)):
            self._on_wall(room, "door", 0.0)
        for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.15, 0.45, 0.3, 0.1]))):
            self._on_wall(room, "window", rng.uniform(0.8, 1.05))
        wanted = [
            ("sofa", 0.55),
            ("bed", 0.55),
            ("cabinet", 0.7),
            ("shelf", 0.65),
            ("cabinet", 0.4),
            ("shelf", 0.25),
            ("tv", 0.65),
        ]
        for label, chance in wanted:
            if rng.random() < chance:
                self._against_wall(room, label)
        for _ in range(int(rng.integers(1, 4))):
            self._on_wall(room, "picture", rng.uniform(1.1, 1.6))
        self._tables(room)
        for label, chance in (
            ("person", 0.5),
            ("robot", 0.5),
            ("plant", 0.5),
            ("bin", 0.6),
            ("lamp", 0.45),
            ("box", 0.5),
            ("ball", 0.45),
            ("chair", 0.5),
            ("person", 0.2),
            ("box", 0.25),
            ("plant", 0.2),
            ("chair", 0.3),
            ("robot", 0.12),
            ("bin", 0.1),
            ("ball", 0.15),
        ):
            if rng.random() < chance:
                self._on_floor(room, label)
        fill_boards(room, self.chooser)
        return room

    # --- walls ------------------------------------------------------------------------------

    def _wall_spot(
        self, room: Room, half: float, low: float, high: float
    ) -> tuple[int, float] | None:
        rng = self.rng
        for _ in range(14):
            number = int(rng.integers(4))
            length = room.half_x if number % 2 == 0 else room.half_y
            if half > length - 0.08:
                continue
            along = rng.uniform(-length + half + 0.03, length - half - 0.03)
            free = all(
                abs(along - a) > half + b + 0.06 or low > d or high < c
                for a, b, c, d in room.wall_spans[number]
            )
            if free:
                room.wall_spans[number].append((along, half, low, high))
                return number, along
        return None

    @staticmethod
    def _wall_pose(room: Room, number: int, along: float, gap: float) -> tuple[float, float, float]:
        """(x, y, yaw) of a thing at `gap` metres from wall `number`, its back to the wall."""
        distance = (room.half_y if number % 2 == 0 else room.half_x) - gap
        turn = -number * np.pi / 2
        point = rotation_z(turn) @ np.array([along, distance, 0])
        return float(point[0]), float(point[1]), turn

    def _on_wall(self, room: Room, label: str, height: float) -> None:
        model, from_file = self.chooser.model(label)
        size = model.size
        if height + size[2] > room.height - 0.05:
            return
        spot = self._wall_spot(room, size[0] / 2, height, height + float(size[2]))
        if spot is None:
            return
        x, y, yaw = self._wall_pose(room, *spot, 0.002)
        room.objects.append(Placement(model, (x, y, height), yaw, self.chooser.tint(from_file)))
        if label == "door":
            room.occupied.append((x, y, 0.25, 0.0))

    def _against_wall(self, room: Room, label: str) -> None:
        rng = self.rng
        if label == "tv" and rng.random() < 0.5:
            self._on_wall_tv(room)
            return
        stand = None
        model, from_file = self.chooser.model(label)
        if label == "tv":
            stand = procedural(rng, "cabinet", self.chooser.split, style="sideboard")
        low, high = model.bounds() if stand is None else stand.bounds()
        size = high - low
        if size[2] > room.height - 0.05 or min(size[:2]) > 1.6:
            return
        spot = self._wall_spot(room, size[0] / 2, 0.0, float(size[2]) + (0.9 if stand else 0))
        if spot is None:
            return
        x, y, yaw = self._wall_pose(room, *spot, float(high[1]) + 0.02)
        if self._blocked(room, x, y, float(max(size[:2])) / 2 * 0.8):
            return
        if stand is not None:
            stand.boards.clear()
            room.objects.append(Placement(stand, (x, y, 0), yaw))
            room.objects.append(Placement(model, (x, y, float(size[2]) + 0.002), yaw))
        else:
            room.objects.append(Placement(model, (x, y, 0), yaw, self.chooser.tint(from_file)))
        self._occupy(room, x, y, yaw, size)

    def _on_wall_tv(self, room: Room) -> None:
        model = procedural(self.rng, "tv", self.chooser.split, style="wall")
        height = self.rng.uniform(0.9, 1.3)
        spot = self._wall_spot(room, model.size[0] / 2, height, height + float(model.size[2]))
        if spot is not None:
            x, y, yaw = self._wall_pose(room, *spot, 0.002)
            room.objects.append(Placement(model, (x, y, height), yaw))

    # --- floor ------------------------------------------------------------------------------

    @staticmethod
    def _blocked(room: Room, x: float, y: float, radius: float) -> bool:
        return any(np.hypot(x - a, y - b) < radius + r for a, b, r, _ in room.occupied)

    @staticmethod
    def _occupy(room: Room, x: float, y: float, yaw: float, size: np.ndarray) -> None:
        """Cover the footprint with one to three circles."""
        long_axis = 0 if size[0] >= size[1] else 1
        length, depth = max(size[0], size[1]), min(size[0], size[1])
        count = int(np.clip(round(length / max(depth, 0.2)), 1, 4))
        direction = rotation_z(yaw) @ np.eye(3)[long_axis]
        for k in range(count):
            offset = (k + 0.5) / count * length - length / 2
            room.occupied.append(
                (
                    x + direction[0] * offset,
                    y + direction[1] * offset,
                    float(np.hypot(depth, length / count) / 2 * 0.92),
                    float(size[2]),
                )
            )

    def _spot(self, room: Room, radius: float, reach: float = 1.0) -> tuple[float, float] | None:
        rng = self.rng
        margin_x, margin_y = room.half_x - radius - 0.05, room.half_y - radius - 0.05
        if min(margin_x, margin_y) <= 0.1:
            return None
        for _ in range(30):
            x, y = (
                rng.uniform(-margin_x, margin_x) * reach,
                rng.uniform(-margin_y, margin_y) * reach,
            )
            if not self._blocked(room, x, y, radius + 0.04):
                return float(x), float(y)
        return None

    def _on_floor(self, room: Room, label: str) -> None:
        model, from_file = self.chooser.model(label)
        size = model.size
        spot = self._spot(room, float(np.hypot(size[0], size[1])) / 2 * 0.85)
        if spot is None or size[2] > room.height - 0.1:
            return
        yaw = self.rng.uniform(0, 2 * np.pi)
        room.objects.append(Placement(model, (*spot, 0.0), yaw, self.chooser.tint(from_file)))
        room.occupied.append((*spot, float(max(size[:2])) / 2, float(size[2])))
        if size[2] < 0.9:
            room.targets.append((*spot, float(size[2]) / 2))

    def _tables(self, room: Room) -> None:
        rng = self.rng
        for _ in range(1 + int(rng.random() < 0.45)):
            model, from_file = self.chooser.model("table")
            size = model.size
            if max(size[:2]) > 1.2 * min(room.half_x, room.half_y):
                continue
            radius = float(np.hypot(size[0], size[1])) / 2
            spot = self._spot(room, radius * 0.8, 0.75)
            if spot is None:
                continue
            yaw = float(rng.integers(4) * np.pi / 2 + rng.normal(0, 0.08))
            room.objects.append(Placement(model, (*spot, 0.0), yaw, self.chooser.tint(from_file)))
            self._occupy(room, *spot, yaw, size)
            if size[2] > 0.6:
                self._chairs(room, spot, yaw, size)

    def _chairs(self, room: Room, spot: tuple[float, float], yaw: float, size: np.ndarray) -> None:
        rng = self.rng
        chair, from_file = self.chooser.model("chair")
        tint = self.chooser.tint(from_file)
        radius = float(max(chair.size[:2])) / 2
        for side in rng.permutation(4)[: int(rng.integers(1, 4))]:
            length, reach = (size[0], size[1]) if side % 2 == 0 else (size[1], size[0])
            turn = yaw + side * np.pi / 2
            gap = reach / 2 + radius + rng.uniform(-0.25, 0.2)
            offset = np.array([rng.uniform(-0.25, 0.25) * length, -gap, 0])
            x, y, _ = np.array([*spot, 0]) + rotation_z(turn) @ offset
            inside = abs(x) < room.half_x - radius and abs(y) < room.half_y - radius
            if inside and not any(
                np.hypot(x - a, y - b) < radius * 0.9 + r * 0.75 for a, b, r, _ in room.occupied
            ):
                facing = turn + np.pi + rng.normal(0, 0.3)  # chairs look at the table
                room.objects.append(Placement(chair, (float(x), float(y), 0.0), facing, tint))
                room.occupied.append((float(x), float(y), radius, float(chair.size[2])))
