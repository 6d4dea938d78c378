"""Names of others beside a model: external alone, or first of two."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace as Message
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from toy_model import make_engine  # type: ignore[import-not-found]  # noqa: E402

from cooper_ros.core.types import DepthMap, Frame, Intrinsics, ScaleSource  # noqa: E402
from cooper_ros.reasoning.tags import SEGMENTATION  # noqa: E402
from cooper_ros.ros.conversion import array_to_image  # noqa: E402
from cooper_ros.ros.name_inputs import Partners  # noqa: E402
from cooper_ros.ros.name_source import NO_DETECTIONS, NameSource  # noqa: E402
from cooper_ros.ros.parameters import BY_NAME  # noqa: E402
from cooper_ros.ros.slots import Snapshot  # noqa: E402
from cooper_ros.runtime.pipeline import CooperPipeline  # noqa: E402
from cooper_ros.runtime.tokenizer import Tokenizer  # noqa: E402

CAMERA = Intrinsics.from_fov(60.0, 64, 48)
FRAME = Frame(np.full((48, 64, 3), 90, np.uint8), CAMERA, 5, "eye")


class Node:
    """Parameters and a log."""

    def __init__(self, **changed: Any) -> None:
        self.changed, self.log = changed, []

    def parameter(self, name: str) -> Any:
        return self.changed.get(name, BY_NAME[name].default)

    def get_logger(self) -> Any:
        return Message(warning=self.log.append)

    def resolve_topic_name(self, name: str) -> str:
        return f"/{name}"

    def get_publishers_info_by_topic(self, topic: str) -> list[Any]:
        return []


def labels() -> Any:
    values = np.zeros((48, 64), np.uint8)
    values[16:32, 10:24], values[4:12, 40:60] = 1, 2
    return array_to_image(values, "mono8")


def seen(source: str, partners: Partners | None) -> tuple[Any, Any, Node]:
    """(context, segmentation, node) of one image."""
    node = Node(segmentation_source=source)
    pipeline = CooperPipeline(make_engine(Tokenizer.from_vocabulary()), "toy")
    names = NameSource(
        node, ("",), pipeline.spec, lambda snapshot: None, lambda camera: lambda stamp: True
    )
    snapshot = Snapshot(None, stamp_ns=5, names=partners)
    pipeline.naming = names.naming(snapshot)
    context = pipeline.see(FRAME)
    context.perceive()  # a sensor's depth takes the place of what was drawn
    z = np.full((48, 64), 2.0, np.float32)
    context.put_depth(DepthMap(z, z, z, True, ScaleSource.EXTERNAL, CAMERA, 5, "eye"))
    depth, base = context.perceive()
    return context, names.put(context, snapshot, depth, base), node


KNOWN = Partners(labels=labels(), numbers={1: "Cordless_Drill", 2: "mug"})


def test_external_names_stand_alone_and_those_the_model_knows_go_into_its_context() -> None:
    context, found, _ = seen("external", KNOWN)
    assert sorted(s.label for s in found.segments) == ["cordless drill", "mug"]
    assert {s.source for s in found.segments} == {"/labels"}
    assert context.segmentation() is found
    shown = context.map(SEGMENTATION).classes(context.spec)[0]
    mug = context.spec.segmentation.names.index("mug")
    rows, columns = shown.shape
    assert shown[rows * 8 // 48, columns * 50 // 64] == mug
    answer = context.answer("how far is the cordless drill?", mode="maps")
    assert answer.value == pytest.approx(2.0, rel=0.1)


def test_merged_shows_the_model_where_others_are_silent() -> None:
    _, found, _ = seen("merged", KNOWN)
    assert {"cordless drill", "mug"} <= {s.label for s in found.segments if s.source == "/labels"}
    assert any(s.source == "model" for s in found.segments)


def test_without_partners_external_has_nothing_and_merged_the_model() -> None:
    context, found, _ = seen("external", None)
    assert found is None and context.naming.missing.startswith(NO_DETECTIONS)
    _, found, _ = seen("merged", None)
    assert found is not None and {s.source for s in found.segments} == {"model"}


def test_what_is_bad_is_logged_once_and_named() -> None:
    bad = Partners(labels=array_to_image(np.zeros((48, 48), np.uint8), "mono8"), numbers={})
    context, found, node = seen("external", bad)
    assert found is None and "48x48" in context.naming.missing
    assert len(node.log) == 1 and "skipped from now on" in node.log[0]


def test_the_model_alone_is_left_as_it_is() -> None:
    context, found, _ = seen("model", None)
    assert context.segmentation() is found and not context.naming.open
