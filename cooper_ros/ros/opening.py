"""What the node runs: the model or none, and the thread in which it runs."""

from __future__ import annotations

from typing import Any

from cooper_ros.core.keyframes import KeyframeRule
from cooper_ros.ros.diagnostics import Monitor
from cooper_ros.ros.memory import trim_heap
from cooper_ros.ros.perception import Perceiver, Perception
from cooper_ros.ros.rates import Stopwatch
from cooper_ros.ros.refusals import message_of
from cooper_ros.ros.scaling import Scaling
from cooper_ros.ros.self_test import check_pipeline
from cooper_ros.ros.sensor_depth import SensorDepth
from cooper_ros.ros.stream import StreamPerceiver
from cooper_ros.ros.worker import InferenceWorker
from cooper_ros.runtime.measured import NO_MODEL, MeasuredPipeline


def open_pipeline(node: Any) -> Any:
    """The pipeline that the parameters ask for. Raises ModelFolderError and BackendError."""
    if node.parameter("model") == NO_MODEL:
        return MeasuredPipeline()
    # Imported here: a node that waits for `configure` costs no inference engine.
    from cooper_ros.runtime.pipeline import CooperPipeline

    return CooperPipeline.open(
        node.parameter("model"),
        backend=node.parameter("backend"),
        threads=node.parameter("threads") or None,
        seed=node.parameter("seed"),
    )


def self_test_of(node: Any) -> str:
    """Result of the self-test, for people. Raises BackendError when it fails."""
    if not node.pipeline.has_model:
        return "no model"
    return check_pipeline(node.pipeline) if node.parameter("self_test") else "switched off"


def make_worker(node: Any, monitor: Monitor) -> tuple[InferenceWorker, StreamPerceiver, Perceiver]:
    """The inference thread, not started yet, and what runs in it."""
    outputs, pipeline, scale = node.outputs, node.pipeline, node.scale

    def publish(perception: Perception) -> None:
        with Stopwatch() as watch:
            outputs.publish(perception)
        node.publish_labels()
        if perception.frame.is_reduced:  # a large camera leaves large holes
            trim_heap()
        monitor.saw(perception, watch.taken)

    def scaling_of(camera: str) -> Scaling | SensorDepth:
        inputs = scale[camera]
        return inputs.scaling if pipeline.has_model else inputs.sensor

    def rule() -> KeyframeRule:
        return KeyframeRule(node.parameter("keyframe_every"), node.parameter("keyframe_change"))

    def wanted(camera: str) -> bool:
        return not node.parameter("lazy") or outputs.observed(camera)

    def on_error(error: BaseException, camera: str) -> None:
        monitor.failed(message_of(error), camera)

    perceiver = Perceiver(pipeline, node.cameras.find_info, scaling_of, node.names)
    stream = StreamPerceiver(perceiver, rule, publish, outputs.publish_followed)
    worker: InferenceWorker = InferenceWorker(
        stream.perceive, wanted, on_error, monitor.counters, stream.look
    )
    return worker, stream, perceiver
