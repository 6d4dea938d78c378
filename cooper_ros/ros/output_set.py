"""Everything that the node publishes: one set of map topics per camera, and what they share."""

from __future__ import annotations

from typing import Any

import numpy as np

from cooper_ros.core.types import StepType
from cooper_ros.msg import LabelInfo, SpatialAnswer
from cooper_ros.ros.camera_names import ONLY
from cooper_ros.ros.messages import from_answer, to_label_info
from cooper_ros.ros.name_messages import NameTable
from cooper_ros.ros.outputs import Outputs
from cooper_ros.ros.overlay import class_colors
from cooper_ros.ros.perception import Perception
from cooper_ros.ros.qos import LatchedPublisherQoS, StandardTopicQoS
from cooper_ros.ros.stream import Followed


class OutputSet:
    """Publishers of the node, alive from configure to cleanup.

    `spec` is the model's ModelSpec: depth range, class names and palette come from it. All cameras
    share the classes and the topic of answers.
    """

    def __init__(
        self, node: Any, spec: Any, model_id: str, cameras: tuple[str, ...] = (ONLY,)
    ) -> None:
        self._node = node
        self._spec = spec
        self._model_id = model_id
        self._named: tuple[str, ...] = ()
        self._outputs = {name: Outputs(node, spec, name) for name in cameras}
        self._label_info = node.create_lifecycle_publisher(
            LabelInfo, "~/segmentation/label_info", LatchedPublisherQoS()
        )
        self._answer = node.create_lifecycle_publisher(
            SpatialAnswer, "~/answer", StandardTopicQoS()
        )

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras that have topics."""
        return tuple(self._outputs)

    def map_topics(self, camera: str = ONLY) -> dict[StepType, str]:
        """Where the maps of a reasoning trace about a camera can be seen."""
        found = self._outputs.get(camera)
        return found.map_topics if found else {}

    def observed(self, camera: str = ONLY) -> bool:
        """Whether anybody reads a map of a camera."""
        return self._outputs[camera].observed()

    def close(self) -> None:
        """Destroy the publishers."""
        for outputs in self._outputs.values():
            outputs.close()
        for publisher in (self._label_info, self._answer):
            self._node.destroy_lifecycle_publisher(publisher)

    def publish_labels(self, stamp_ns: int, table: NameTable) -> None:
        """Say, latched, what the label images' values mean; again when names have come."""
        names = table.names
        if not names or names == self._named:
            return
        self._named = names
        settings = self._spec.segmentation
        palette = settings.colours if settings else ()
        colors = (class_colors(palette)[: len(names)] / 255.0).tolist()
        own = np.clip((np.asarray(palette, np.float32).reshape(-1, 3) + 1.0) / 2.0, 0.0, 1.0)
        colors[: len(own)] = own.tolist()
        countable = [name not in table.stuff for name in names]
        self._label_info.publish(
            to_label_info(names, countable, colors, self._model_id, stamp_ns)
        )

    def forget_labels(self) -> None:
        """The next names are published whatever was before."""
        self._named = ()

    def publish_answer(self, answer: SpatialAnswer) -> None:
        """Publish a finished question; mark and follow its objects."""
        self._answer.publish(answer)
        outputs = self._outputs.get(answer.camera)
        if outputs is not None:
            outputs.note_answer(from_answer(answer))

    def publish(self, perception: Perception) -> None:
        """Publish everything of one frame that has a reader (any thread)."""
        self._outputs[perception.snapshot.camera].publish(perception)

    def publish_followed(self, followed: Followed) -> None:
        """Publish the objects of a frame without maps (any thread)."""
        self._outputs[followed.snapshot.camera].publish_followed(followed)
