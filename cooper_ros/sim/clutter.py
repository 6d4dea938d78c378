"""Small objects on the boards of tables, cabinets and shelves."""

from __future__ import annotations

import numpy as np

from cooper_ros.sim.mesh import Board, rotation_z
from cooper_ros.sim.rooms import ModelChooser, Placement, Room

SMALL = ("mug", "bottle", "bowl", "book", "vase", "laptop", "can", "box", "ball", "lamp", "plant")
_SMALL_WEIGHTS = np.array([5, 5, 4, 3.5, 2.8, 3.5, 5, 2.2, 2.2, 1, 1])
_ON_SHELF = ("book", "mug", "vase", "bowl", "box", "can", "bottle", "ball", "plant")
_SHELF_WEIGHTS = np.array([5, 1.5, 2, 1.5, 2, 1.2, 1.2, 1, 1])


def fill_boards(room: Room, chooser: ModelChooser) -> None:
    """Put objects on tables, low cabinets and shelves."""
    rng = chooser.rng
    for holder in list(room.objects):
        boards = holder.model.boards
        if holder.label == "table":
            for board in boards:
                _fill(chooser, room, holder, board, int(rng.integers(4, 11)), SMALL, _SMALL_WEIGHTS)
        elif holder.label == "cabinet" and rng.random() < 0.75:
            for board in boards:
                _fill(chooser, room, holder, board, int(rng.integers(1, 4)), SMALL, _SMALL_WEIGHTS)
        elif holder.label == "shelf":
            for board in boards:
                count = int(rng.choice([0, 1, 2, 3], p=[0.25, 0.25, 0.3, 0.2]))
                _fill(chooser, room, holder, board, count, _ON_SHELF, _SHELF_WEIGHTS)


def _fill(
    chooser: ModelChooser,
    room: Room,
    holder: Placement,
    board: Board,
    count: int,
    labels: tuple[str, ...],
    weights: np.ndarray,
) -> None:
    rng = chooser.rng
    taken: list[tuple[float, float, float]] = []
    chance = weights / weights.sum()
    # some boards hold several of one kind, so that counting means something
    repeated = str(rng.choice(labels, p=chance)) if rng.random() < 0.25 else None
    for _ in range(count):
        label = repeated if repeated and rng.random() < 0.7 else str(rng.choice(labels, p=chance))
        model, from_file = chooser.model(label, on_floor=False)
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
        position = (
            holder.position[0] + point[0] - centre[0],
            holder.position[1] + point[1] - centre[1],
            holder.position[2] + board.z - float(low[2]) + 0.001,
        )
        room.objects.append(Placement(model, position, float(yaw), chooser.tint(from_file)))
        room.targets.append(
            (
                float(holder.position[0] + point[0]),
                float(holder.position[1] + point[1]),
                float(position[2] + size[2] / 2),
            )
        )
