"""Small pictures for the report: camera image, true and generated maps side by side."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.codecs import spectral_colormap, sphere_palette
from cooper_ros.core.images import resize_labels, resize_rgb
from cooper_ros.core.types import DepthMap, Segmentation
from cooper_ros.evaluation.scenes import TestFrame
from cooper_ros.evaluation.trial import class_names, in_truth_ids

Picture = NDArray[np.uint8]
WIDTH, HEIGHT = 208, 156
NEAR_M, FAR_M = 0.3, 8.0
GAP_PX = 4
JPEG_QUALITY = 78


def depth_picture(depth: NDArray[np.floating]) -> Picture:
    """Depth [m] in the Spectral colours, red near and blue far, logarithmic, fixed range: uint8
    [H, W, 3]; unknown is black."""
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = (np.log(depth) - math.log(NEAR_M)) / (math.log(FAR_M) - math.log(NEAR_M))
    picture = spectral_colormap(np.clip(unit, 0.0, 1.0)).transpose(1, 2, 0)
    return np.where(np.isfinite(depth)[..., None], picture, np.uint8(0))


def confidence_picture(confidence: NDArray[np.floating]) -> Picture:
    """Confidence in [0, 1] as grey: uint8 [H, W, 3]; unknown is black."""
    grey = (np.nan_to_num(np.clip(confidence, 0.0, 1.0)) * 255.0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def label_picture(labels: NDArray[np.uint8]) -> Picture:
    """Class ids in fixed colours: uint8 [H, W, 3]; unknown classes are black."""
    names = class_names()
    table = np.zeros((256, 3), np.uint8)
    table[: len(names)] = ((sphere_palette(len(names)) * 0.5 + 0.5) * 255).astype(np.uint8)
    return table[labels]


def small_labels(labels: NDArray[np.uint8]) -> Picture:
    """`label_picture` of labels of any size, at the report's size."""
    return label_picture(np.asarray(resize_labels(labels, WIDTH, HEIGHT), np.uint8))


def small(picture: Picture) -> Picture:
    """At the report's size."""
    return resize_rgb(np.ascontiguousarray(picture), WIDTH, HEIGHT)


def strip(item: TestFrame, depth: DepthMap, segmentation: Segmentation) -> Picture:
    """Image, true depth, generated depth, its confidence (white is sure), true classes, generated
    classes, left to right."""
    labels = in_truth_ids(segmentation.labels, segmentation.names)
    parts = [
        small(item.frame.rgb),
        small(depth_picture(item.depth)),
        small(depth_picture(depth.depth)),
        small(confidence_picture(depth.confidence)),
        small_labels(item.classes),
        small_labels(labels),
    ]
    return beside(parts)


def beside(pictures: Sequence[Picture]) -> Picture:
    """Pictures of the report's size, left to right."""
    gap = np.full((HEIGHT, GAP_PX, 3), 255, np.uint8)
    return np.concatenate([part for one in pictures for part in (one, gap)][:-1], axis=1)


def data_url(picture: Picture) -> str:
    """The picture as a JPEG inside a data: URL."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, coded = cv2.imencode(".jpg", picture[..., ::-1], quality)
    if not done:
        raise ValueError(f"cannot code a picture of shape {picture.shape}")
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")
