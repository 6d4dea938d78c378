"""The topics of a perception of one camera: depth, segmentation, points, markers, overlay.

Each topic is only made while somebody reads it. Stamp and frame id are those of the camera image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from cooper_ros.core import types
from cooper_ros.core.classes import STUFF
from cooper_ros.core.images import resize_depth, resize_labels, resize_score
from cooper_ros.core.pictures import size_within
from cooper_ros.core.segments import segments_at
from cooper_ros.core.types import StepType
from cooper_ros.msg import DepthInfo, SegmentArray, SpatialAnswer
from cooper_ros.ros.conversion import array_to_image, intrinsics_to_camera_info
from cooper_ros.ros.followed_answers import FollowedAnswers
from cooper_ros.ros.markers import MarkerArray, answer_markers, object_markers
from cooper_ros.ros.messages import (
    to_answer,
    to_depth_info,
    to_followed_array,
    to_header,
    to_segment_array,
)
from cooper_ros.ros.overlay import class_colors, draw_boxes, draw_overlay
from cooper_ros.ros.perception import Perception
from cooper_ros.ros.points import to_point_cloud
from cooper_ros.ros.qos import ImagePublisherQoS, StandardTopicQoS
from cooper_ros.ros.stream import Followed


class Outputs:
    """Publishers of one camera's maps, alive from configure to cleanup.

    `spec` is the model's ModelSpec: depth range, class names and palette come from it. The topics
    of a camera with a name are below `~/<camera>`.
    """

    def __init__(self, node: Any, spec: Any, camera: str = "") -> None:
        self._node = node
        self._spec = spec
        self._prefix = f"~/{camera}" if camera else "~"
        self.colors = class_colors(spec.segmentation.colours if spec.segmentation else ())
        self._stuff = (*(spec.segmentation.stuff if spec.segmentation else ()), *STUFF)
        self._depth = self._image("/depth/image")
        self._depth_camera = self._make(CameraInfo, "/depth/camera_info", ImagePublisherQoS())
        self._relative = self._image("/depth/relative")
        self._confidence = self._image("/depth/confidence")
        self._depth_info = self._make(DepthInfo, "/depth/info", StandardTopicQoS())
        self._labels = self._image("/segmentation/labels")
        self._segments = self._make(SegmentArray, "/segmentation/segments", StandardTopicQoS())
        self._overlay = self._image("/overlay")
        self._points = self._make(PointCloud2, "/points", ImagePublisherQoS())
        self._markers = None
        if MarkerArray is not None:
            self._markers = self._make(MarkerArray, "/markers", StandardTopicQoS())
        self._followed = self._make(SpatialAnswer, "/answer/followed", StandardTopicQoS())
        self._answers = FollowedAnswers()
        self._maps = (
            self._depth,
            self._depth_camera,
            self._relative,
            self._confidence,
            self._depth_info,
            self._labels,
            self._segments,
            self._overlay,
            self._points,
            self._followed,
            *([self._markers] if self._markers else []),
        )

    def _make(self, message_type: Any, topic: str, qos: Any) -> Any:
        return self._node.create_lifecycle_publisher(message_type, self._prefix + topic, qos)

    def _image(self, topic: str) -> Any:
        return self._make(Image, topic, ImagePublisherQoS())

    @property
    def map_topics(self) -> dict[StepType, str]:
        """Where the maps of a reasoning trace can be seen."""
        return {
            StepType.DEPTH: self._depth.topic_name,
            StepType.SEGMENTATION: self._labels.topic_name,
        }

    def observed(self) -> bool:
        """Whether anybody reads a map."""
        return any(publisher.get_subscription_count() > 0 for publisher in self._maps)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._maps:
            self._node.destroy_lifecycle_publisher(publisher)

    def publish(self, perception: Perception) -> None:
        """Publish everything of one frame that has a reader (any thread)."""
        self._publish_depth(perception)
        segmentation = perception.segmentation
        if segmentation is None:
            return
        self._continue(segmentation.segments, perception.frame, perception.depth.scale_source)
        header = to_header(segmentation.stamp_ns, segmentation.frame_id)
        frame, size = perception.frame, self._size(perception.frame)
        if _read(self._labels):
            self._send(self._labels, segmentation.labels, "mono8", size, resize_labels, header)
        if _read(self._segments):
            self._segments.publish(to_segment_array(segmentation))
        if _read(self._overlay):
            drawn = replace(segmentation, segments=tuple(_on(frame, segmentation.segments)))
            picture = draw_overlay(frame.rgb, drawn, self.colors, self._stuff)
            self._send(self._overlay, picture, "rgb8", size, _enlarged, header)
        self._mark(segmentation.segments, frame, header)

    def publish_followed(self, followed: Followed) -> None:
        """Publish where the objects are in a frame without maps of its own (any thread)."""
        frame = followed.frame
        header = to_header(frame.stamp_ns, frame.frame_id)
        if _read(self._segments):
            self._segments.publish(
                to_followed_array(followed.segments, header, followed.key.frame.stamp_ns)
            )
        if _read(self._overlay):
            here = _on(frame, followed.segments)
            picture = draw_boxes(frame.rgb, here, self.colors, self._stuff)
            self._send(self._overlay, picture, "rgb8", self._size(frame), _enlarged, header)
        self._mark(followed.segments, frame, header)
        self._continue(followed.segments, frame, followed.key.depth.scale_source)

    def _size(self, frame: types.Frame) -> tuple[int, int]:
        """(width, height) of the maps of a frame: the camera's, unless that is too large."""
        return size_within(*frame.full_size, int(self._node.parameter("max_pixels")))

    @staticmethod
    def _send(
        publisher: Any,
        values: NDArray[Any],
        encoding: str,
        size: tuple[int, int],
        resize: Callable[[NDArray[Any], int, int], NDArray[Any]],
        header: Any,
    ) -> None:
        """Publish a map in this size (width, height); no copy of it is held while it is sent."""
        if values.shape[1::-1] == size:
            publisher.publish(array_to_image(values, encoding, header))
        else:
            publisher.publish(array_to_image(resize(values, *size), encoding, header))

    def _mark(
        self, segments: Sequence[types.Segment], frame: types.Frame, header: Any
    ) -> None:
        intrinsics = frame.full_intrinsics
        if self._markers and _read(self._markers) and intrinsics is not None:
            self._markers.publish(
                object_markers(segments, header, intrinsics, self.colors, self._stuff)
            )

    def _continue(
        self, segments: Sequence[types.Segment], frame: types.Frame, source: types.ScaleSource
    ) -> None:
        """Say the newest answers again, of the objects where they are in this frame."""
        told = self._answers.at(segments, frame.stamp_ns, frame.frame_id, source)
        if _read(self._followed):
            for answer in told:
                self._followed.publish(to_answer(answer))

    def note_answer(self, answer: types.SpatialAnswer) -> None:
        """Follow an answer, and draw it beside the objects (any thread)."""
        self._answers.note(answer)
        if answer.status is types.Status.OK and self._markers and _read(self._markers):
            self._markers.publish(answer_markers(answer))

    def _publish_depth(self, perception: Perception) -> None:
        depth = perception.depth
        header = to_header(depth.stamp_ns, depth.frame_id)
        size = self._size(perception.frame)
        if depth.metric:
            if _read(self._depth):
                self._send(self._depth, depth.depth, "32FC1", size, resize_depth, header)
            if depth.intrinsics is not None and _read(self._depth_camera):
                camera = depth.intrinsics.scaled(*size)
                self._depth_camera.publish(intrinsics_to_camera_info(camera, header))
        if depth.metric and depth.intrinsics is not None and _read(self._points):
            stride = int(self._node.parameter("points_stride"))
            self._points.publish(
                to_point_cloud(
                    depth, perception.frame.rgb, perception.segmentation, header, stride, size
                )
            )
        if _read(self._relative) and depth.confidence_method != "none":
            self._send(self._relative, depth.relative, "32FC1", size, resize_score, header)
        if _read(self._confidence) and math.isfinite(float(depth.confidence.flat[0])):
            self._send(self._confidence, depth.confidence, "32FC1", size, resize_score, header)
        if _read(self._depth_info):
            settings = self._spec.depth
            self._depth_info.publish(
                to_depth_info(depth, settings.min_m, settings.max_m, perception.seconds)
            )


def _enlarged(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR))


def _on(frame: types.Frame, segments: Sequence[types.Segment]) -> list[types.Segment]:
    """Segments in the pixels of the frame's own, perhaps smaller, picture."""
    return segments_at(segments, frame.full_size, frame.width, frame.height)


def _read(publisher: Any) -> bool:
    return bool(publisher.get_subscription_count() > 0)
