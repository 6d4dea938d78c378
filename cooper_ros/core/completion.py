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
VARIANCE_PIXELS = 160 * 120  # the same of the interval


@dataclass(frozen=True)
class Grid:
    """Nodes over place, and over ln depth at most so many, `step` apart where these are enough."""

    columns: int
    rows: int
    layers: int
    step: float


MEAN = Grid(41, 31, 20, 0.12)
VARIANCE = Grid(13, 10, 8, 0.15)


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
        depth = _completed(nominal, state, field)
        half_width = _half_width(nominal, state, field) if interval else None
        unknown = ~(nominal > 0.0)
        if unknown.any():
            depth[unknown] = np.nan
            if half_width is not None:
                half_width[unknown] = np.nan
        trusted = field.inlier > 0.5
        missed = np.exp(points.log_depth) * np.expm1(field.left_out)
        rmse = float(np.sqrt(np.mean(missed[trusted] ** 2))) if trusted.any() else NAN
        return Completed(depth, half_width, len(points), int(trusted.sum()), rmse, field.inlier)


def _completed(nominal: Array, state: ScaleState, field: Field) -> Array:
    """Depth f32 [H, W]; anything where nominal is not positive."""
    place = _Reader(nominal, state, READ_PIXELS)
    logs = place.read(field.mean, MEAN)
    if state.space == LOG:  # one power law and the field make one factor of the model's depth
        bend, rest = 1.0 - 1.0 / state.exponent, math.log(state.scale) / state.exponent
        cv2.addWeighted(logs, 1.0, place.logs, bend, rest, logs)
    factor = place.enlarged(np.asarray(cv2.exp(logs, logs)))
    if state.space == LOG:
        return np.asarray(cv2.multiply(nominal, factor, factor))
    metres = nominal * np.float32(state.scale) + np.float32(state.shift_m)
    metres[~(metres > 0.0)] = np.nan
    return np.asarray(cv2.multiply(metres, factor, factor))


def _half_width(nominal: Array, state: ScaleState, field: Field) -> Array:
    """Half width f32 [H, W] of the 90 % interval; anything where nominal is not positive."""
    place = _Reader(nominal, state, VARIANCE_PIXELS)
    return place.enlarged(place.read(field.half_width, VARIANCE))


class _Reader:
    """Reads functions of place and ln depth at every pixel, through a coarse grid."""

    def __init__(self, nominal: Array, state: ScaleState, pixels: int) -> None:
        """Of a map f32 [H, W] and what was fitted to it; one of more than so many `pixels` is read
        at every second (or third, ...) row and column."""
        self.shape = nominal.shape
        self.step = step = max(1, int(math.sqrt(nominal.size / pixels)))
        few = nominal[step // 2 :: step, step // 2 :: step].copy()
        if state.space == LOG:
            known = few > 0.0
            few[~known] = 1.0
            cv2.log(few, few)
            few *= np.float32(state.exponent)
            few += np.float32(math.log(state.scale))
        else:
            known = few > 0.0
            few *= np.float32(state.scale)
            few += np.float32(state.shift_m)
            known &= few > 0.0
            few[~known] = 1.0
            cv2.log(few, few)
        self.logs = few
        values = self.logs if known.all() else self.logs[known]
        self.low = float(values.min()) if values.size else 0.0
        self.high = max(float(values.max()) if values.size else 0.0, self.low + 1e-3)

    def read(self, function: Any, grid: Grid) -> Array:
        """`function(x, y, logs)` at the nodes of a grid, trilinear at the pixels that are read."""
        height, width = self.logs.shape
        columns = grid.columns
        layers = math.ceil((self.high - self.low) / grid.step) + 1
        layers = int(np.clip(layers, 2, grid.layers))
        # Rows are enlarged first; then one bilinear look-up, over columns and layers of each row,
        # is a trilinear one. Nodes of rows are the middles of cells; one more cell on either side,
        # cut off again, spares the border.
        cell = max(1, math.ceil(height / (grid.rows - 1)))
        count = math.ceil(height / cell) + 2
        side = self.step * height / self.shape[1]
        x = (np.linspace(0.0, width - 1.0, columns) + 0.5) / width - 0.5
        y = (np.arange(count) - 0.5) * cell * side / height - 0.5 * self.shape[0] / self.shape[1]
        values = function(x, y, np.linspace(self.low, self.high, layers))
        values = values.reshape(count, layers * columns)
        size = (layers * columns, count * cell)
        sheet = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR))
        sheet = sheet[cell : cell + height].reshape(height * layers, columns)
        across = np.arange(width, dtype=np.float32) * ((columns - 1) / max(width - 1, 1))
        layer = self.logs - np.float32(self.low)
        layer *= np.float32((layers - 1) / (self.high - self.low))
        np.clip(layer, 0, layers - 1, out=layer)
        layer += np.arange(height, dtype=np.float32)[:, None] * layers
        across = np.ascontiguousarray(np.broadcast_to(across, layer.shape))
        return np.asarray(cv2.remap(sheet, across, layer, cv2.INTER_LINEAR), np.float32)

    def enlarged(self, read: Array) -> Array:
        """What was read, at the size of the map."""
        if self.step == 1:
            return read
        size = (self.shape[1], self.shape[0])
        return np.asarray(cv2.resize(read, size, interpolation=cv2.INTER_LINEAR), np.float32)
