"""Lays out a furnished room. No renderer is involved: the result is a list of placed models."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.assets import AssetSet, cached_model
from cooper_ros.sim.mesh import (
    Board, Model, box, grid, rotation_x, rotation_z,
)
from cooper_ros.sim.shapes import procedural

Rng = np.random.Generator

SMALL = ("mug", "bottle", "bowl", "book", "vase", "laptop", "can", "box", "ball", "lamp", "plant")
_SMALL_WEIGHTS = np.array([5, 5, 4, 3.5, 2.8, 3.5, 5, 2.2, 2.2, 1, 1])
_ON_SHELF = ("book", "mug", "vase", "bowl", "box", "can", "bottle", "ball", "plant")
_SHELF_WEIGHTS = np.array([5, 1.5, 2, 1.5, 2, 1.2, 1.2, 1, 1])



def model_share(count: int) -> float:
    """How often a class with `count` model files takes one instead of a procedural shape."""
    return 0.5 * count / (count + 2)



@dataclass
class Placement:
    """A model in the room: position of its origin (m), turn about z (rad), part colour factors."""

    model: Model
    position: tuple[float, float, float]
    yaw: float
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def label(self) -> str:
        return self.model.label


@dataclass
class Room:
    """A closed room centred at the origin, and what stands in it (metres)."""

    half_x: float
    half_y: float
    height: float
    stuff: list[Placement] = field(default_factory=list)
    objects: list[Placement] = field(default_factory=list)
    occupied: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Circles (x, y, radius, height) that furniture covers on the floor."""
    targets: list[tuple[float, float, float]] = field(default_factory=list)
    """Centres of small objects, for cameras to look at."""
    wall_spans: list[list[tuple[float, float, float, float]]] = field(
        default_factory=lambda: [[], [], [], []])
    """Per wall: (centre, half width, low, high) of what is already there."""


class Decorator:
    """Chooses models and places of one room."""

    def __init__(self, rng: Rng, split: str, assets: AssetSet) -> None:
        self.rng = rng
        self.split = split
        self.assets = assets
        # A room keeps to one style of chairs, as real ones do.
        self._chair: Model | None = None

    def model(self, label: str, on_floor: bool = True) -> tuple[Model, bool]:
        """A model of the class, and whether it comes from a file."""
        files = self.assets.of(label)
        if files and self.rng.random() < model_share(len(files)):
            path = files[self.rng.integers(len(files))]
            model = cached_model(path)
            small = float(max(model.size)) < 0.75
            if label not in ("lamp", "plant", "box", "vase") or on_floor != small:
                return model, True
        return procedural(self.rng, label, self.split, on_floor), False

    def tint(self, from_file: bool) -> tuple[float, float, float]:
        """Colour variation; models from files repeat, so they get more of it."""
        if not from_file:
            return (1.0, 1.0, 1.0)
        value = np.clip(self.rng.uniform(0.75, 1.15) + self.rng.normal(0, 0.1, 3), 0.4, 1.3)
        return (float(value[0]), float(value[1]), float(value[2]))

    def room(self) -> Room:
        """Build everything."""
        rng = self.rng
        room = Room(rng.uniform(1.6, 3.5), rng.uniform(1.5, 3.0), rng.uniform(2.35, 2.9))
        self._shell(room)
        for _ in range(1 + int(rng.random() < 0.45)):
            self._on_wall(room, "door", 0.0)
        for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.15, 0.45, 0.3, 0.1]))):
            self._on_wall(room, "window", rng.uniform(0.8, 1.05))
        wanted = [("sofa", 0.55), ("bed", 0.55), ("cabinet", 0.7), ("shelf", 0.65),
                  ("cabinet", 0.4), ("shelf", 0.25), ("tv", 0.65)]
        for label, chance in wanted:
            if rng.random() < chance:
                self._against_wall(room, label)
        for _ in range(int(rng.integers(1, 4))):
            self._on_wall(room, "picture", rng.uniform(1.1, 1.6))
        self._tables(room)
        for label, chance in (("person", 0.5), ("robot", 0.5), ("plant", 0.5), ("bin", 0.6),
                              ("lamp", 0.45), ("box", 0.5), ("ball", 0.45), ("chair", 0.5),
                              ("person", 0.2), ("box", 0.25), ("plant", 0.2), ("chair", 0.3),
                              ("robot", 0.12), ("bin", 0.1), ("ball", 0.15)):
            if rng.random() < chance:
                self._on_floor(room, label)
        self._fill_boards(room)
        return room

    # --- the empty room ---------------------------------------------------------------------

    def _shell(self, room: Room) -> None:
        rng = self.rng
        x, y, h = room.half_x, room.half_y, room.height
        kind = str(rng.choice(["wood", "plank", "plank", "tile", "carpet"]))
        first = tx.colour(rng, (0, 0.35), (0.3, 0.85)) if kind in ("tile", "carpet") else None
        floor = Model("floor")
        floor.add(tx.surface(rng, kind, first), grid(2 * x, 2 * y, 12, rng.uniform(0.4, 0.9)))
        ceiling = Model("ceiling")
        white = tx.around(rng, (0.93, 0.93, 0.92), 0.04)
        over = tx.surface(rng, "plain", white, white * 0.96, 0.0) if rng.random() < 0.85 \
            else tx.surface(rng, "plank")
        ceiling.add(over, grid(2 * x, 2 * y, 8, 0.4).moved((0, 0, 0), rotation_x(np.pi)))
        paint = tx.around(rng, (0.88, 0.86, 0.81), 0.07) if rng.random() < 0.65 \
            else tx.colour(rng, (0.08, 0.4), (0.45, 0.9))
        kinds = ["plain", "carpet", "stripe", "brick", "plank"]
        wall_kind = str(rng.choice(kinds, p=[0.62, 0.15, 0.09, 0.09, 0.05]))
        shade = paint * rng.uniform(0.86, 0.97)
        look = tx.surface(rng, wall_kind, paint, shade, 0.05)
        other = look
        if rng.random() < 0.25:  # one wall in another colour
            paint = tx.colour(rng, (0.15, 0.5), (0.35, 0.85))
            other = tx.surface(rng, "plain", paint, paint * 0.95, 0.05)
        wall = Model("wall")
        repeat = rng.uniform(0.4, 0.9)
        for number in range(4):
            length = 2 * (x if number % 2 == 0 else y)
            distance = y if number % 2 == 0 else x
            upright = grid(length, h, 8, repeat).moved((0, 0, 0), rotation_x(np.pi / 2))
            turned = upright.moved((0, distance, h / 2)).moved(
                (0, 0, 0), rotation_z(-number * np.pi / 2))
            wall.add(other if number == 0 else look, turned)
        if rng.random() < 0.7:
            skirting = tx.flat(tx.around(rng, (0.9, 0.9, 0.88), 0.05) if rng.random() < 0.6
                               else tx.wood_colour(rng))
            tall = rng.uniform(0.05, 0.1)
            wall.add(skirting, *[box((2 * x, 0.015, tall), (0, s * (y - 0.0075), 0))
                                 for s in (-1, 1)],
                     *[box((0.015, 2 * y, tall), (s * (x - 0.0075), 0, 0)) for s in (-1, 1)])
        room.stuff += [Placement(floor, (0, 0, 0), 0.0), Placement(ceiling, (0, 0, h), 0.0),
                       Placement(wall, (0, 0, 0), 0.0)]

    # --- walls ------------------------------------------------------------------------------

    def _wall_spot(self, room: Room, half: float, low: float, high: float) -> tuple[int, float] | None:
        rng = self.rng
        for _ in range(14):
            number = int(rng.integers(4))
            length = room.half_x if number % 2 == 0 else room.half_y
            if half > length - 0.08:
                continue
            along = rng.uniform(-length + half + 0.03, length - half - 0.03)
            free = all(abs(along - a) > half + b + 0.06 or low > d or high < c
                       for a, b, c, d in room.wall_spans[number])
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
        model, from_file = self.model(label)
        size = model.size
        if height + size[2] > room.height - 0.05:
            return
        spot = self._wall_spot(room, size[0] / 2, height, height + float(size[2]))
        if spot is None:
            return
        x, y, yaw = self._wall_pose(room, *spot, 0.002)
        room.objects.append(Placement(model, (x, y, height), yaw, self.tint(from_file)))
        if label == "door":
            room.occupied.append((x, y, 0.25, 0.0))

    def _against_wall(self, room: Room, label: str) -> None:
        rng = self.rng
        if label == "tv" and rng.random() < 0.5:
            self._on_wall_tv(room)
            return
        stand = None
        model, from_file = self.model(label)
        if label == "tv":
            stand = procedural(rng, "cabinet", self.split, style="sideboard")
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
            room.objects.append(Placement(model, (x, y, 0), yaw, self.tint(from_file)))
        self._occupy(room, x, y, yaw, size)

    def _on_wall_tv(self, room: Room) -> None:
        model = procedural(self.rng, "tv", self.split, style="wall")
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
            room.occupied.append((x + direction[0] * offset, y + direction[1] * offset,
                                  float(np.hypot(depth, length / count) / 2 * 0.92),
                                  float(size[2])))

    def _spot(self, room: Room, radius: float, reach: float = 1.0) -> tuple[float, float] | None:
        rng = self.rng
        margin_x, margin_y = room.half_x - radius - 0.05, room.half_y - radius - 0.05
        if min(margin_x, margin_y) <= 0.1:
            return None
        for _ in range(30):
            x, y = rng.uniform(-margin_x, margin_x) * reach, rng.uniform(-margin_y, margin_y) * reach
            if not self._blocked(room, x, y, radius + 0.04):
                return float(x), float(y)
        return None

    def _on_floor(self, room: Room, label: str) -> None:
        model, from_file = self.model(label)
        size = model.size
        spot = self._spot(room, float(np.hypot(size[0], size[1])) / 2 * 0.85)
        if spot is None or size[2] > room.height - 0.1:
            return
        yaw = self.rng.uniform(0, 2 * np.pi)
        room.objects.append(Placement(model, (*spot, 0.0), yaw, self.tint(from_file)))
        room.occupied.append((*spot, float(max(size[:2])) / 2, float(size[2])))
        if size[2] < 0.9:
            room.targets.append((*spot, float(size[2]) / 2))

    def _tables(self, room: Room) -> None:
        rng = self.rng
        for number in range(1 + int(rng.random() < 0.45)):
            model, from_file = self.model("table")
            size = model.size
            if max(size[:2]) > 1.2 * min(room.half_x, room.half_y):
                continue
            radius = float(np.hypot(size[0], size[1])) / 2
            spot = self._spot(room, radius * 0.8, 0.75)
            if spot is None:
                continue
            yaw = float(rng.integers(4) * np.pi / 2 + rng.normal(0, 0.08))
            room.objects.append(Placement(model, (*spot, 0.0), yaw, self.tint(from_file)))
            self._occupy(room, *spot, yaw, size)
            if size[2] > 0.6:
                self._chairs(room, spot, yaw, size)

    def _chairs(self, room: Room, spot: tuple[float, float], yaw: float, size: np.ndarray) -> None:
        rng = self.rng
        chair, from_file = self.model("chair")
        tint = self.tint(from_file)
        radius = float(max(chair.size[:2])) / 2
        for side in rng.permutation(4)[: int(rng.integers(1, 4))]:
            length, reach = (size[0], size[1]) if side % 2 == 0 else (size[1], size[0])
            turn = yaw + side * np.pi / 2
            gap = reach / 2 + radius + rng.uniform(-0.25, 0.2)
            offset = np.array([rng.uniform(-0.25, 0.25) * length, -gap, 0])
            x, y, _ = np.array([*spot, 0]) + rotation_z(turn) @ offset
            inside = abs(x) < room.half_x - radius and abs(y) < room.half_y - radius
            if inside and not any(np.hypot(x - a, y - b) < radius * 0.9 + r * 0.75
                                  for a, b, r, _ in room.occupied):
                facing = turn + np.pi + rng.normal(0, 0.3)  # chairs look at the table
                room.objects.append(Placement(chair, (float(x), float(y), 0.0), facing, tint))
                room.occupied.append((float(x), float(y), radius, float(chair.size[2])))

    # --- small objects ----------------------------------------------------------------------

    def _fill_boards(self, room: Room) -> None:
        rng = self.rng
        for holder in list(room.objects):
            boards = holder.model.boards
            if holder.label == "table":
                for board in boards:
                    self._fill(room, holder, board, int(rng.integers(4, 11)), SMALL, _SMALL_WEIGHTS)
            elif holder.label == "cabinet" and rng.random() < 0.75:
                for board in boards:
                    self._fill(room, holder, board, int(rng.integers(1, 4)), SMALL, _SMALL_WEIGHTS)
            elif holder.label == "shelf":
                for board in boards:
                    count = int(rng.choice([0, 1, 2, 3], p=[0.25, 0.25, 0.3, 0.2]))
                    self._fill(room, holder, board, count, _ON_SHELF, _SHELF_WEIGHTS)

    def _fill(self, room: Room, holder: Placement, board: Board, count: int,
              labels: tuple[str, ...], weights: np.ndarray) -> None:
        rng = self.rng
        taken: list[tuple[float, float, float]] = []
        chance = weights / weights.sum()
        # some boards hold several of one kind, so that counting means something
        repeated = str(rng.choice(labels, p=chance)) if rng.random() < 0.25 else None
        for _ in range(count):
            label = repeated if repeated and rng.random() < 0.7 else str(rng.choice(labels, p=chance))
            model, from_file = self.model(label, on_floor=False)
            low, high = model.bounds()
            size = high - low
            radius = float(np.hypot(size[0], size[1])) / 2 * (0.9 if label != "book" else 0.8)
            if size[2] > board.clearance or max(size[:2]) > 0.6:
                continue
            room_x, room_y = board.half_x - 0.75 * radius, board.half_y - 0.75 * radius
            if room_x < 0:
                continue
            room_y = max(room_y, 0.0)
            if radius > 1.3 * board.half_y:
                continue
            for _ in range(14):
                x, y = rng.uniform(-room_x, room_x), rng.uniform(-room_y, room_y)
                if all(np.hypot(x - a, y - b) > radius + r + 0.01 for a, b, r in taken):
                    break
            else:
                continue
            taken.append((x, y, radius))
            spread = 0.5 if label == "laptop" or holder.label == "shelf" else np.pi
            turn = rotation_z(holder.yaw)
            # place the middle of the bounding box on the spot
            yaw = holder.yaw + rng.uniform(-spread, spread)
            point = turn @ np.array([board.x + x, board.y + y, 0])
            centre = rotation_z(yaw) @ np.array([*(low + high)[:2] / 2, 0])
            position = (holder.position[0] + point[0] - centre[0],
                        holder.position[1] + point[1] - centre[1],
                        holder.position[2] + board.z - float(low[2]) + 0.001)
            room.objects.append(Placement(model, position, float(yaw), self.tint(from_file)))
            room.targets.append((float(holder.position[0] + point[0]),
                                 float(holder.position[1] + point[1]),
                                 float(position[2] + size[2] / 2)))
