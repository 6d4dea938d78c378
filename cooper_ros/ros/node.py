"""The node `cooper`: a camera in, depth, segmentation and answers out.

A lifecycle node. Configure reads the parameters, loads the model and tests it; activate subscribes
to the camera and starts the inference thread; deactivate and cleanup undo the same. With
`autostart` (the default) it does the first two by itself. When that fails, the node stays, says why
in its log, on /diagnostics and in the reply to every question, and can be configured again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from cooper_ros.core.types import SpatialAnswer, Status
from cooper_ros.ros import parameters, runner
from cooper_ros.ros.camera_names import camera_names
from cooper_ros.ros.cameras import CameraSet
from cooper_ros.ros.clock_jumps import ClockJumps
from cooper_ros.ros.command_line import Program
from cooper_ros.ros.diagnostics import Monitor
from cooper_ros.ros.frames import Frames
from cooper_ros.ros.guard import told
from cooper_ros.ros.intake import Intake
from cooper_ros.ros.interfaces import INTERFACES
from cooper_ros.ros.memory import check_memory, give_back, return_large_blocks
from cooper_ros.ros.model_info import ModelInfoService
from cooper_ros.ros.name_source import NameSource
from cooper_ros.ros.opening import make_worker, open_pipeline, self_test_of
from cooper_ros.ros.output_set import OutputSet
from cooper_ros.ros.perception import Perceiver
from cooper_ros.ros.reason_server import ReasonServer
from cooper_ros.ros.refusals import message_of
from cooper_ros.ros.scale_inputs import ScaleSet
from cooper_ros.ros.services import Services
from cooper_ros.ros.stream import StreamPerceiver
from cooper_ros.ros.worker import InferenceWorker, Snapshot
from cooper_ros.runtime.naming import names_for

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
HOUSEKEEPING_S = 0.05
WORKER_PARAMETERS = (
    "max_rate_hz",
    "queue_size",
    "client_queue_size",
    "max_image_age_s",
    "kept_frames",
)
PROGRAM = Program(
    "cooper_node",
    __doc__,
    parameters.PARAMETERS,
    tuple(spec.name for spec in INTERFACES),
    "ros2 run cooper_ros cooper_node --ros-args -r image:=/camera/image_raw "
    "-r camera_info:=/camera/camera_info",
)
OTHERS_ONLY = ("depth_source", "segmentation_source")
"""Without a model both are `external`, whatever the parameters say."""
STOP_S = 1.2
"""Longest wait for the inference thread to end [s]."""


class CooperNode(LifecycleNode):
    """See the module. Attributes are for the other classes of this folder."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("cooper", **arguments)
        self._reason: ReasonServer | None = None  # rclpy destroys a node that could not be made
        parameters.declare(self)
        self.pipeline: Any = None
        self.worker: InferenceWorker | None = None
        self.outputs: OutputSet | None = None
        self.cameras: CameraSet | None = None
        self.scale: ScaleSet | None = None
        self.names: NameSource | None = None
        self.stream: StreamPerceiver | None = None
        self._perceiver: Perceiver | None = None
        self._jumps: ClockJumps | None = None
        self._enabled = True
        self._monitor = Monitor(self)
        intake = Intake(self)
        self._calls = Services(self, intake)
        self._reason = ReasonServer(self, intake)
        ModelInfoService(self)
        self.add_post_set_parameters_callback(lambda _: self._apply_parameters())
        # Steady: with use_sim_time a paused simulation must not stop deadlines.
        self._timer = self.create_timer(
            HOUSEKEEPING_S, self._housekeeping, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        if self.parameter("autostart") and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    # -- used by the services --------------------------------------------------------------------

    def parameter(self, name: str) -> Any:
        """Present value of one of our parameters."""
        value = self.get_parameter(name).value
        if name in OTHERS_ONLY and self.pipeline is not None and not self.pipeline.has_model:
            return "external"
        spec = parameters.BY_NAME.get(name)
        return spec.plain(value) if spec else value

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names of the cameras, `("",)` for a single one."""
        if self.outputs is not None:  # what the topics were made for
            return self.outputs.cameras
        return camera_names(self.parameter("cameras"))

    @property
    def transforms(self) -> Frames | None:
        """TF, while the node is active."""
        return self.scale.frames if self.scale is not None else None

    def known_words(self) -> tuple[str, ...]:
        """Names of the objects that the loaded model knows, and of those that others named."""
        return names_for(self.pipeline) if self.pipeline else ()

    @property
    def self_test(self) -> str:
        """Result of the self-test of the loaded model."""
        return self._monitor.self_test

    def why_not_active(self) -> str:
        """Why questions cannot be answered now."""
        if self._monitor.problem:
            return f"no model is loaded: {self._monitor.problem}"
        if not self._enabled:
            return "perception is switched off: call ~/enable with data: true"
        return "the node is not active: configure and activate it, or start it with autostart"

    def stamped(self, answer: SpatialAnswer) -> SpatialAnswer:
        """A refusal with the model's name in it."""
        return replace(answer, model_id=self.pipeline.model_id if self.pipeline else "")

    def note_answer(self, seconds: float, status: Status) -> None:
        """Keep the time that the newest answer took."""
        if status is Status.OK:
            self._monitor.answer_s = seconds

    def set_enabled(self, enabled: bool) -> tuple[bool, str]:
        """Pause or resume perception and answers; (success, message)."""
        if enabled == self._enabled:
            return True, f"perception was {'on' if enabled else 'off'} already"
        self._enabled = enabled
        if self.cameras is None:
            return True, f"perception will be {'on' if enabled else 'off'} when the node is active"
        if enabled:
            self._start_worker()
        else:
            self._stop_worker()
        return True, f"perception is {'on' if enabled else 'off'}"

    @property
    def pending(self) -> int:
        """Service calls and goals that wait for their result."""
        return self._calls.pending + (self._reason.pending if self._reason else 0)

    # -- lifecycle -------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and test the model."""
        started = time.monotonic()
        try:
            self.pipeline = open_pipeline(self)
            self._monitor.self_test = self_test_of(self)
            check_memory(self.parameter("max_memory_mib"))
            self.outputs = OutputSet(
                self,
                self.pipeline.spec,
                self.pipeline.model_id,
                camera_names(self.parameter("cameras")),
            )
        except Exception as error:
            self._monitor.problem = message_of(error)
            self.get_logger().error(f"cannot configure: {self._monitor.problem}")
            self._release()
            return FAILURE
        self._monitor.problem = ""
        self.get_logger().info(
            f"model {self.pipeline.model_id} on {self.pipeline.backend_name} loaded in "
            f"{time.monotonic() - started:.1f} s, self-test: {self._monitor.self_test}"
        )
        return super().on_configure(state)

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the camera and start the inference thread."""
        assert self.outputs is not None
        result = super().on_activate(state)  # opens the publishers
        self._jumps = ClockJumps(self.get_clock(), self._on_clock_jump)
        self.cameras = CameraSet(
            self,
            self.outputs.cameras,
            self.parameter("image_transport"),
            self._on_frame,
            self._on_calibration,
            self.parameter("rectified"),
        )
        self.scale = scale = ScaleSet(self, self.outputs.cameras)
        self.names = NameSource(
            self,
            self.outputs.cameras,
            self.pipeline.spec,
            self._put_frame,
            lambda camera: scale[camera].depth_came,
        )
        self.pipeline.naming = self.names.naming()
        self.outputs.forget_labels()
        self.publish_labels()
        if self._enabled:
            self._start_worker()
        topics = " and ".join(self.cameras.topics)
        self.get_logger().info(f"active: reading {topics}")
        return result

    @told
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the inference thread and let go of the camera."""
        self._stop_worker()
        self._close_inputs()
        self._monitor.forget()
        return super().on_deactivate(state)

    @told
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._release()
        return SUCCESS

    @told
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End for good."""
        self.close(STOP_S)
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured after an error in a transition."""
        self._monitor.problem = self._monitor.problem or "a lifecycle transition failed"
        self.close(STOP_S)
        return SUCCESS

    def transition_failed(self, error: Exception, place: str) -> None:
        """Say why a transition did not work; it ends in `unconfigured`."""
        self._monitor.problem = f"a lifecycle transition failed: {message_of(error)}"
        self.get_logger().error(f"{self._monitor.problem} ({place})")

    def close(self, timeout_s: float) -> bool:
        """Stop everything; False if the inference thread did not end in time."""
        ended = self._stop_worker(timeout_s)
        self._close_inputs()
        self._release()
        return ended

    def destroy_node(self) -> None:
        """Let go of the ROS graph."""
        if self._reason is not None:
            self._reason.destroy()  # rclpy forgets actions when it destroys a node
        super().destroy_node()

    def _close_inputs(self) -> None:
        if self._jumps is not None:
            self._jumps.close()
        self._jumps = None
        if self.cameras is not None:
            self.cameras.close()
        if self.scale is not None:
            self.scale.close()
        if self.names is not None:
            self.names.close()
        self.cameras = self.scale = self.names = None

    def _release(self) -> None:
        if self.outputs is not None:
            self.outputs.close()
        self.outputs = self.pipeline = None
        self._monitor.forget()
        give_back()

    # -- worker ----------------------------------------------------------------------------------

    def _start_worker(self) -> None:
        self.worker, self.stream, self._perceiver = make_worker(self, self._monitor)
        self._apply_parameters()
        self.worker.start()

    def publish_labels(self) -> None:
        """Say, latched, which names there are, if that is news."""
        if self.outputs is not None and self.names is not None:
            now_ns = self.get_clock().now().nanoseconds
            self.outputs.publish_labels(now_ns, self.names.table)

    def _stop_worker(self, timeout_s: float = STOP_S) -> bool:
        worker, self.worker = self.worker, None
        self.stream = self._perceiver = None
        return worker.stop(timeout_s) if worker is not None else True

    def _apply_parameters(self) -> None:
        if self.pipeline is not None:
            self.pipeline.min_score = self.parameter("min_score")
        if self.worker is not None:
            for name in WORKER_PARAMETERS:
                setattr(self.worker, name, self.parameter(name))
        if self.scale is not None:
            self.scale.apply_parameters()
        if self.names is not None:
            self.names.apply_parameters()
            self.pipeline.naming = self.names.naming()
        if self._perceiver is not None:
            self._perceiver.max_pixels = self.parameter("max_pixels")
        if self.cameras is not None:
            self.cameras.any_frame = self.parameter("camera_info_any_frame")

    def _on_clock_jump(self, seconds: float) -> None:
        self._forget_time(self.camera_names, seconds)

    def _forget_time(self, cameras: Sequence[str], seconds: float) -> None:
        """Time ran back: what is remembered belongs to another world."""
        self.get_logger().warning(
            f"time ran back by {seconds:.1f} s: tracks, remembered scale and kept frames are "
            "forgotten (a bag played again, or a simulation reset?)"
        )
        if self.scale is not None:
            self.scale.frames.forget()
        for camera in cameras:
            if self.scale is not None:
                self.scale[camera].forget()
            if self.names and camera in self.names:
                self.names[camera].forget()
            if self.worker is not None and self.stream is not None:
                self.stream.forget(camera)
                self.worker.forget(camera, frame=True)

    def _on_frame(self, snapshot: Snapshot) -> None:
        if self._jumps is not None:
            back_s = self._jumps.ran_back_s(snapshot.camera, snapshot.stamp_ns)
            if back_s:
                self._forget_time([snapshot.camera], back_s)
        if self.names and snapshot.camera in self.names:
            self.names[snapshot.camera].hold(snapshot)
        else:
            self._put_frame(snapshot)

    def _put_frame(self, snapshot: Snapshot) -> None:
        if self.worker is not None:
            self.worker.put_frame(snapshot)

    def _on_calibration(self, camera: str) -> None:
        if self.worker is not None and self.stream is not None:
            self.stream.forget(camera)
            self.worker.forget(camera)

    def _housekeeping(self) -> None:
        self._calls.expire()
        if self.scale is not None:
            self.scale.poll()
        if self.names is not None:
            self.names.poll()
        self._monitor.tick()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return_large_blocks()
    return runner.run(CooperNode, PROGRAM, argv)


if __name__ == "__main__":
    sys.exit(main())
