"""The service `~/calibrate_scale`: distances known by hand, or the anchors of the last frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.parameter import Parameter

from cooper_ros.core.anchors import Anchors
from cooper_ros.core.errors import NotMetricError, QuestionError, ScaleError
from cooper_ros.core.projection import ray_lengths
from cooper_ros.core.scale_state import ScaleState, calibration_text
from cooper_ros.core.types import NAN, Status
from cooper_ros.ros.audience import Audience
from cooper_ros.ros.calls import PendingCall
from cooper_ros.ros.camera_names import choose_camera
from cooper_ros.ros.distances import class_name
from cooper_ros.ros.intake import Intake
from cooper_ros.ros.perception import Perception
from cooper_ros.ros.qos import QuestionQoS
from cooper_ros.ros.refusals import NotActiveError, message_of, status_of
from cooper_ros.ros.scaling import Scaling
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.srv import CalibrateScale

PARAMETER = "scale_calibration"
MAX_ITEMS = 256
DEFAULT_SIGMA = 0.02
SAME_PLACE_SIGMAS = 3.0
"""Two measurements of one place may differ by so many standard deviations."""

Reply: TypeAlias = CalibrateScale.Response


class CalibrateService:
    """Creates the service; it refuses, with the reason, while the node is not active."""

    def __init__(self, node: Any, intake: Intake) -> None:
        self._node = node
        self._intake = intake
        self._pending: set[PendingCall] = set()
        service = node.create_service(
            CalibrateScale,
            "~/calibrate_scale",
            self._on_calibrate,
            qos_profile=QuestionQoS(),
            callback_group=ReentrantCallbackGroup(),
        )
        self._audience = Audience(lambda: node.count_clients(service.service_name))

    @property
    def pending(self) -> int:
        """Calls that wait for their result."""
        return len(self._pending)

    def expire(self) -> None:
        """End calls whose time is over, or whose client has gone; called by the node's timer."""
        self._intake.end_overdue(self._pending, self._audience)

    async def _on_calibrate(self, request: CalibrateScale.Request, response: Reply) -> Reply:
        response.scale = response.exponent = response.shift = NAN
        response.rmse = response.error_90 = NAN
        try:
            camera = choose_camera(request.camera, self._node.camera_names)
            _check_method(request)
            if request.method == CalibrateScale.Request.METHOD_RESET:
                self._store(camera, None)
                response.message = "the calibration is forgotten"
            else:
                outcome = await self._measure(request, camera)
                if isinstance(outcome, _Refused):
                    return _refuse(response, outcome)
                state, count, rmse = outcome
                response.calibration = self._store(camera, state)
                _describe(response, state, count, rmse)
            response.success, response.status = True, int(Status.OK)
        except Exception as error:  # a handler that raises would leave the client waiting
            _refuse(response, _Refused.of(error))
        return response

    async def _measure(self, request: CalibrateScale.Request, camera: str) -> Any:
        """(state, anchors or frames used, relative residual), or why there is none."""

        def work(perception: Perception, cancel: CancelToken) -> Any:
            scale = self._node.scale
            if scale is None:
                raise NotActiveError(self._node.why_not_active())
            scaling: Scaling = scale[camera].scaling
            if request.method == CalibrateScale.Request.METHOD_ANCHORS:
                state, frames = scaling.calibrate_from_history()
                return state, frames, state.noise
            anchors = anchors_of(request, perception)
            return scaling.calibrate(perception.context, anchors, cancel)

        call = PendingCall(
            work, _Refused.of, self._intake.timeout_s(request), self._intake.wake,
            camera=camera,
        )  # fmt: skip
        self._intake.submit(call)
        self._pending.add(call)
        try:
            return await call
        finally:
            self._pending.discard(call)

    def _store(self, camera: str, state: ScaleState | None) -> str:
        """Put the calibration into the node's parameter; the parameter's text."""
        text = calibration_text(self._node.parameter(PARAMETER), camera, state)
        result = self._node.set_parameters([Parameter(PARAMETER, value=text)])[0]
        if not result.successful:
            raise ScaleError(result.reason)
        return text


@dataclass(frozen=True)
class _Refused:
    """What is kept of an error: the error itself holds, by its traceback, the frame that was looked
    at, and raised a second time it would hold itself until the garbage collector comes."""

    status: Status
    message: str

    @classmethod
    def of(cls, error: BaseException) -> _Refused:
        return cls(status_of(error), message_of(error))


def _refuse(response: Reply, refused: _Refused) -> Reply:
    response.success, response.message = False, refused.message
    response.status = int(refused.status)
    return response


def _describe(response: Reply, state: ScaleState, count: int, rmse: float) -> None:
    width = float(state.half_widths(np.array([2.0]))[0])
    response.scale, response.exponent = state.scale, state.exponent
    response.shift, response.rmse = state.shift_m, rmse
    response.error_90, response.anchor_count = math.expm1(width), count
    response.message = (
        f"calibrated: depth is {state.metres(np.array([2.0]))[0]:.2f} m where the model says 2 m, "
        f"90 % within {100 * math.expm1(width):.0f} %; store the parameter {PARAMETER} to keep it"
    )


def anchors_of(request: CalibrateScale.Request, perception: Perception) -> Anchors:
    """The distances of a request as anchors. Raises QuestionError and NotMetricError."""
    count = len(request.names) + len(request.pixels)
    if not 1 <= count <= MAX_ITEMS or len(request.distances) != count:
        raise QuestionError(
            f"give one distance for each of 1 to {MAX_ITEMS} names and pixels, got "
            f"{len(request.distances)} for {count}"
        )
    sigma = float(request.uncertainty) or DEFAULT_SIGMA
    bad = [d for d in request.distances if not (math.isfinite(d) and 0.0 < d < 1000.0)]
    if bad or not 0.0 < sigma < 1.0:
        raise QuestionError(
            f"distances must be above 0 m and uncertainty between 0 and 1, got {bad or sigma}"
        )
    intrinsics = perception.depth.intrinsics
    if intrinsics is None:
        raise NotMetricError(perception.calibration_problem or "the camera is not calibrated")
    pixels = [(point.x, point.y) for point in request.pixels]
    width, height = perception.frame.full_size
    outside = [
        (u, v) for u, v in pixels if not (-0.5 < u < width - 0.5 and -0.5 < v < height - 0.5)
    ]
    if outside:
        raise QuestionError(f"a pixel is outside the {width}x{height} image: {outside[:8]}")
    sx, sy = intrinsics.width / width, intrinsics.height / height  # the maps may be smaller
    places = [_place_of(name, perception) for name in request.names]
    places += [((u + 0.5) * sx - 0.5, (v + 0.5) * sy - 0.5) for u, v in pixels]
    u, v = np.array(places, np.float64).T
    _check_places(request, np.rint(places), sigma)
    lengths = ray_lengths(intrinsics)[np.rint(v).astype(int), np.rint(u).astype(int)]
    depth = np.asarray(request.distances, np.float64) / lengths
    return Anchors(u, v, depth, np.full(count, sigma), "distances given")


def _check_method(request: CalibrateScale.Request) -> None:
    """Raise QuestionError for an unknown method, and for one that does not use what is given."""
    kinds = CalibrateScale.Request
    if request.method not in (kinds.METHOD_DISTANCES, kinds.METHOD_ANCHORS, kinds.METHOD_RESET):
        raise QuestionError(f"method {request.method} is unknown: see CalibrateScale.srv")
    given = len(request.names) + len(request.pixels) + len(request.distances)
    if request.method != kinds.METHOD_DISTANCES and given:
        raise QuestionError(
            f"names, pixels and distances are for METHOD_DISTANCES; method {request.method} uses "
            "none of them: which is meant?"
        )


def _check_places(request: CalibrateScale.Request, places: Any, sigma: float) -> None:
    """Raise QuestionError for two distances of one pixel that cannot both be right."""
    known: dict[tuple[float, float], float] = {}
    for place, distance in zip(map(tuple, places), request.distances, strict=True):
        before = known.setdefault(place, distance)
        if abs(math.log(distance / before)) > SAME_PLACE_SIGMAS * math.sqrt(2.0) * sigma:
            u, v = place
            raise QuestionError(
                f"{before:.2f} m and {distance:.2f} m are given for one place, pixel "
                f"({u:.0f}, {v:.0f}): which is right?"
            )


def _place_of(name: str, perception: Perception) -> tuple[float, float]:
    """The pixel of an object whose depth is the middle one of its pixels."""
    segmentation = perception.segmentation
    found = segmentation.of_class(class_name(name)) if segmentation is not None else ()
    if segmentation is None or len(found) != 1:
        raise QuestionError(
            f"{len(found)} objects named {name[:40]!r} are in view, one is needed: give a pixel"
        )
    rows, columns = np.nonzero(segmentation.mask(found[0]))
    values = perception.depth.relative[rows, columns]
    middle = int(np.argsort(values)[len(values) // 2])
    return float(columns[middle]), float(rows[middle])
