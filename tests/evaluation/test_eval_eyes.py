"""A depth camera and a detector in a few simulated rooms; the figures of many are in docs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

from cooper_ros.evaluation.eyes import KITS, Scored, ask_frame, summarise, table_of  # noqa: E402
from cooper_ros.evaluation.scenes import TestFrame, iterate_scenes, read_scene  # noqa: E402

ROOMS = 6


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[TestFrame]:
    folder: Path = tmp_path_factory.mktemp("rooms")
    jobs = iterate_scenes(folder, 3, ROOMS, 1, size=(320, 240))
    return [item for job in jobs for item in read_scene(job.path, job.scene)]


@pytest.mark.parametrize("kit", list(KITS))
def test_measured_answers_are_right_without_a_model(frames: list[TestFrame], kit: str) -> None:
    scored = [answer for item in frames for answer in ask_frame(item, kit, 12)]
    figures = summarise(scored)
    lengths = [s for s in scored if s.family == "distance" and s.answered]
    assert len(lengths) >= 5
    # so few rooms allow one or two mistakes; a broken measurement makes many
    assert np.mean([s.error <= 0.10 for s in lengths]) >= 0.75
    assert figures["order and side"]["right_of_answered"] >= 0.85
    assert figures["presence"]["right"] >= 0.8
    assert "distance" in table_of(kit, figures)


def test_the_kits_are_what_they_say(frames: list[TestFrame]) -> None:
    rng = np.random.default_rng(0)
    given, depth = KITS["boxes"](frames[0], rng)
    assert given.boxes and given.labels is None and np.array_equal(depth.depth, frames[0].depth)
    given, depth = KITS["sensors"](frames[0], rng)
    assert not given.boxes and given.instances is not None
    holes = np.isnan(depth.depth).mean()
    assert 0.01 < holes < 0.4
    error = np.nanmedian(np.abs(depth.depth / frames[0].depth - 1.0))
    assert 0.001 < error < 0.05


def test_a_refusal_counts_against_all_but_not_among_the_answered() -> None:
    figures = summarise(
        [Scored("left", True, True), Scored("right", False, False), Scored("count", True, False)]
    )
    row = figures["order and side"]
    assert (row["n"], row["right"], row["right_of_answered"]) == (2, 0.5, 1.0)
    assert figures["count"]["right"] == 0.0
