"""Metres for a frame from range points or other anchors, without ROS.

context = pipeline.see(frame)
anchor(context, [anchors_from_points(points, frame.intrinsics)])  # optical frame, metres
depth, segmentation = context.perceive()                          # completed, with intervals
"""

from __future__ import annotations

from collections.abc import Sequence

from cooper_ros.core.anchors import Anchors
from cooper_ros.core.errors import ScaleError
from cooper_ros.core.metric_depth import anchored_depth
from cooper_ros.core.scale import MetricScaler, ScaleFit, ScaleState
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.frame_context import FrameContext


def anchor(
    context: FrameContext,
    anchors: Sequence[Anchors],
    prior: ScaleState | None = None,
    *,
    complete: bool = True,
    cancel: CancelToken | None = None,
) -> ScaleFit:
    """Give the frame the metres of its anchors: the fit of its scale, and unless `complete` is
    false what each anchor says of its own place. Maps and answers follow.

    `prior`: what is known of the scale, by default what the model learnt. A fit with a `problem`
    is not used: the frame keeps the depth that it had. Raises ScaleError without intrinsics,
    GenerationCancelled.
    """
    intrinsics = context.frame.intrinsics
    if intrinsics is None or not intrinsics.is_valid:
        raise ScaleError("anchors need a frame with intrinsics")
    settings = context.spec.depth
    prior = settings.scale_prior() if prior is None else prior
    nominal, depth = context.nominal_depth(cancel), context.depth(cancel)
    fit = MetricScaler(prior.space).fit(nominal, anchors, intrinsics, prior)
    if fit.problem:
        return fit
    report = fit.report((settings.min_m, settings.max_m), fit.note)
    context.put_depth(
        anchored_depth(depth, nominal, fit.state, report, anchors, intrinsics, complete)
    )
    return fit
