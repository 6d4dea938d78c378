"""Depth completion: what each anchor says of its own place, spread over the picture.

A fit (`core.scale`) moves all pixels by a few shared numbers and throws away what a single anchor
says of its place. Here the residuals of ln depth at the anchors, after the fit, are spread by
kriging (Gaussian process regression; Matheron 1963, Rasmussen and Williams 2006): with a kernel
over place *and* the model's ln depth, so that a residual of the sofa does not leak onto the wall
behind it. A sum of Gaussians of three widths stands for errors of the scene, of objects and of
their parts; a trend over place and depth takes what the fit cannot say. The kernel's amplitude
comes from the anchors of the frame by leave-one-out: its candidates are averaged with their
predictive likelihood. Anchors count by their own and their shared errors. An anchor that the
others contradict (an outlier, a flying pixel between two surfaces) is one of a mixture, found by
expectation maximisation on leave-one-out residuals, and loses its weight.

The field is solved at the anchors, evaluated on a coarse grid of columns, rows and ln depth (a
bilateral grid; Chen, Paris and Durand 2007) and read at the resolution of the map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.anchors import Anchors
from cooper_ros.core.kriging import Field, Kernel, Points
from cooper_ros.core.scale_state import LOG, ScaleState
from cooper_ros.core.types import NAN, Intrinsics

Array = NDArray[np.float32]
Vector = NDArray[Any]  # f64

METHOD = "completion"  # `scale_method` of depth that was completed
MIN_ANCHORS = 2
READ_PIXELS = 320 * 240  # resolution at which the grid is read; the field is smooth beyond it
COLUMNS, ROWS, VARIANCE_COLUMNS, VARIANCE_ROWS = 41, 31, 17, 13
DEPTH_STEP = 0.12  # of ln depth between nodes
MAX_LAYERS, VARIANCE_LAYERS = 20, 8


@dataclass(frozen=True, eq=False)
class Completed:
    """Depth of one frame with its anchors' residuals added.

    `depth` f32 [H, W] in metres, NaN where the model's is; `half_width` f32 [H, W] of the 90 %
    interval of ln(true / depth), None if it was not asked for. `rmse_m`: root mean square error at
    the trusted anchors, each left out in turn; `trusted` of `anchor_count` anchors took part.
    `inlier` f64 [n]: how sure it is that each (thinned) anchor is none of the outliers.
    """

    depth: Array
    half_width: Array | None
    anchor_count: int
    trusted: int
    rmse_m: float
    inlier: Vector


@dataclass(frozen=True)
class DepthCompleter:
    """Adds to a fit what the anchors of this frame say of their places. Holds no state."""

    kernel: Kernel = Kernel()

    def complete(
        self,
        nominal: Array,
        anchors: Sequence[Anchors],
        intrinsics: Intrinsics,
        state: ScaleState,
        *,
        interval: bool = True,
    ) -> Completed | None:
        """Depth from `nominal` f32 [H, W] (the depth that the model's code names [m]), from the
        `state` that was fitted to it, and from anchors in pixels of `intrinsics` (same H x W).

        None when fewer than `MIN_ANCHORS` anchors lie on known depth: the fit is all there is.
        """
        points = Points.sample(nominal, anchors, intrinsics, state)
        if len(points) < MIN_ANCHORS:
            return None
        field = Field.solve(points, self.kernel, state.noise)
        place = _Reader(nominal, state)
        factor = np.exp(place.read(field.mean, (COLUMNS, ROWS), MAX_LAYERS))
        unknown = ~(nominal > 0.0)
        depth = _metres(nominal, state) * place.enlarged(factor)
        gaps = bool(unknown.any())
        if gaps:
            depth[unknown] = np.nan
        half_width = None
        if interval:
            grid = (VARIANCE_COLUMNS, VARIANCE_ROWS)
            half_width = place.enlarged(place.read(field.half_width, grid, VARIANCE_LAYERS))
            if gaps:
                half_width[unknown] = np.nan
        trusted = field.inlier > 0.5
        missed = np.exp(points.log_depth) * np.expm1(field.left_out)
        rmse = float(np.sqrt(np.mean(missed[trusted] ** 2))) if trusted.any() else NAN
        return Completed(depth, half_width, len(points), int(trusted.sum()), rmse, field.inlier)


def _metres(nominal: Array, state: ScaleState) -> Array:
    """`state.metres` of a map, f32 and fast; anything where nominal is not positive."""
    if state.space == LOG:
        logs = cv2.log(nominal) * np.float32(state.exponent)
        return np.asarray(cv2.exp(logs + np.float32(math.log(state.scale))), np.float32)
    metres = nominal * np.float32(state.scale) + np.float32(state.shift_m)
    return np.where(metres > 0.0, metres, np.float32(np.nan))


class _Reader:
    """Reads functions of place and ln depth at every pixel, through a coarse grid."""

    def __init__(self, nominal: Array, state: ScaleState) -> None:
        """Of a map f32 [H, W] and what was fitted to it; a large map is read at every second (or
        third, ...) row and column."""
        self.shape = nominal.shape
        self.step = step = max(1, int(math.sqrt(nominal.size / READ_PIXELS)))
        metres = _metres(np.ascontiguousarray(nominal[step // 2 :: step, step // 2 :: step]), state)
        known = np.isfinite(metres) & (metres > 0.0)
        self.logs = np.asarray(cv2.log(np.where(known, metres, np.float32(1.0))), np.float32)
        values = self.logs[known]
        self.low = float(values.min()) if values.size else 0.0
        self.high = max(float(values.max()) if values.size else 0.0, self.low + 1e-3)

    def read(self, function: Any, grid: tuple[int, int], most_layers: int) -> Array:
        """`function(x, y, logs)` at the nodes of a grid of (columns, rows), trilinear at the
        pixels that are read: f32."""
        height, width = self.logs.shape
        columns, rows = grid
        layers = int(np.clip(math.ceil((self.high - self.low) / DEPTH_STEP) + 1, 2, most_layers))
        side = self.step * np.array([height, width]) / self.shape[1]
        x = (np.linspace(0.0, width - 1.0, columns) + 0.5) / width - 0.5
        y = (np.linspace(0.0, height - 1.0, rows) + 0.5) * side[0] / height
        y = y - 0.5 * self.shape[0] / self.shape[1]
        values = function(x, y, np.linspace(self.low, self.high, layers))
        # Rows are enlarged first; then one bilinear look-up, over columns and layers of each row,
        # is a trilinear one.
        at = np.arange(height, dtype=np.float32) * ((rows - 1) / max(height - 1, 1))
        below = np.minimum(at.astype(np.int64), rows - 2)
        part = (at - below).astype(np.float32)[:, None, None]
        sheet = values[below] * (1.0 - part) + values[below + 1] * part
        sheet = np.ascontiguousarray(sheet.reshape(height * layers, columns), np.float32)
        across = np.arange(width, dtype=np.float32) * ((columns - 1) / max(width - 1, 1))
        scale = (layers - 1) / (self.high - self.low)
        layer = np.clip((self.logs - np.float32(self.low)) * np.float32(scale), 0, layers - 1)
        layer += np.arange(height, dtype=np.float32)[:, None] * layers
        across = np.broadcast_to(across, layer.shape)
        found = cv2.remap(sheet, np.ascontiguousarray(across), layer, cv2.INTER_LINEAR)
        return np.asarray(found, np.float32)

    def enlarged(self, read: Array) -> Array:
        """What was read, at the size of the map."""
        if self.step == 1:
            return read
        size = (self.shape[1], self.shape[0])
        return np.asarray(cv2.resize(read, size, interpolation=cv2.INTER_LINEAR), np.float32)
