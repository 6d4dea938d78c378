"""What the node runs and what it can be asked: the service `~/model_info`."""

from __future__ import annotations

import json
import math
from typing import Any

from cooper_ros.core.types import NAN
from cooper_ros.ros.camera_names import ONLY
from cooper_ros.ros.qos import QuestionQoS
from cooper_ros.runtime.measured import NO_MODEL
from cooper_ros.srv import GetModelInfo

NOMINAL_SIZE = (640, 480)
"""Image [px] for which the size of the maps is told."""


class ModelInfoService:
    """Creates the service once; it answers at any time, with the reason when there is no model."""

    def __init__(self, node: Any) -> None:
        self._node = node
        node.create_service(
            GetModelInfo, "~/model_info", self._answer, qos_profile=QuestionQoS()
        )

    def _answer(
        self, request: GetModelInfo.Request, response: GetModelInfo.Response
    ) -> GetModelInfo.Response:
        node = self._node
        response.cameras = [name for name in node.camera_names if name != ONLY]
        response.self_test = node.self_test
        if node.pipeline is None:
            response.message = node.why_not_active()
            response.min_range = response.max_range = response.interval_level = NAN
            return response
        if not node.pipeline.has_model:
            return describe_none(response)
        return describe(node.pipeline, response)


def describe_none(response: GetModelInfo.Response) -> GetModelInfo.Response:
    """Say that there is no model, and that this is how it was asked for."""
    response.success = True
    response.model_id = response.backend = response.name = NO_MODEL
    response.metric = True
    response.min_range = response.max_range = response.interval_level = NAN
    return response


def describe(pipeline: Any, response: GetModelInfo.Response) -> GetModelInfo.Response:
    """Fill in what a loaded model says of itself."""
    spec, folder, calibration = pipeline.spec, pipeline.folder, pipeline.calibration
    response.success = True
    response.model_id = pipeline.model_id
    response.backend = pipeline.backend_name
    if folder is not None:
        response.name = folder.name
        response.licence = folder.licence
        response.provenance = json.dumps(folder.provenance)
        response.parameter_count = int((folder.manifest.get("weights") or {}).get("parameters", 0))
    settings = spec.segmentation
    if settings is not None:
        response.names = list(settings.names)
        response.countable = [name not in settings.stuff for name in settings.names]
    tokenizer = pipeline.engine.tokenizer
    response.words = list(tokenizer.words) if tokenizer.word_level else []
    depth = spec.depth
    response.metric = bool(depth.metric)
    response.min_range = float(depth.min_m) if depth.metric else math.nan
    response.max_range = float(depth.max_m) if depth.metric else math.nan
    response.map_width, response.map_height = spec.map_resize.size(*NOMINAL_SIZE)
    response.interval_level = float(calibration.level) if calibration is not None else math.nan
    return response
