"""Rooms for `cooper eval eyes`: rendered where they are not there yet, then asked about."""

from __future__ import annotations

from typing import Any

from cooper_ros.evaluation.eyes import KITS, Scored, ask_frame, summarise
from cooper_ros.evaluation.scenes import iterate_scenes, read_scene
from cooper_ros.evaluation.sim import pictures_folder


def evaluate(
    seed: int, rooms: int, questions: int, split: str = "test", processes: int = 1
) -> dict[str, Any]:
    """Figures by kit, as `summarise`; `rooms` and `seed` besides.

    Raises CooperError when the simulator is not installed.
    """
    folder = pictures_folder()
    found: dict[str, list[Scored]] = {kit: [] for kit in KITS}
    for job in iterate_scenes(folder, seed, rooms, 1, split=split, processes=processes):
        for item in read_scene(job.path, job.scene):
            for kit in KITS:
                found[kit] += ask_frame(item, kit, questions)
    figures: dict[str, Any] = {kit: summarise(scored) for kit, scored in found.items()}
    return {"seed": seed, "rooms": rooms, "split": split, "world": folder.name, **figures}
