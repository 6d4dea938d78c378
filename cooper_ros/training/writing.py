"""What stage 2 trains on one batch of frames, written out on the host: questions, their slots, the
tokens that point. On a GPU other processes write it ahead of the training, which would wait longer
for a batch's text than for its gradients.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.camera import Intrinsics
from cooper_ros.sim.truth import COLUMNS

from .frames import window
from .pointing import CLASS, INSTANCE, PointFinder
from .slots import SEES, Slot, SlotArrays, SlotMaker, arrays_by_length

U, Z, X, Y, RANGE, WIDTH, HEIGHT, POINT_X, LEFT, RIGHT = (
    COLUMNS.index(name)
    for name in ("u", "z", "x", "y", "distance", "width", "height", "point_x", "left", "right")
)
POINT = slice(POINT_X, POINT_X + 3)

QuestionSource = Callable[[np.ndarray, float, np.random.Generator, int], Sequence[Any]]

FUSED_SEES = {"answer": 2, "direct": 1, "depth": 1, "segmentation": 2, "arithmetic": 1}
"""Prefix blocks that each kind of slot sees where the maps are one block."""

ARITHMETIC_SHARES = (1.0, 0.35)
"""Share of frames with a slot of pure arithmetic, in the first and in the second half: until it is
learnt, a depth that was read well becomes a wrong answer; then reading needs the time more."""

AHEAD_PER_PROCESS = 2


def transform_rows(rows: np.ndarray, mirrored: bool, scale: float, width: int) -> np.ndarray:
    """Object rows of a mirrored and scaled frame."""
    out = rows.copy()
    if mirrored:
        out[:, U] = (width - 1) / width - out[:, U]
        out[:, [LEFT, RIGHT]] = (width - 1) / width - out[:, [RIGHT, LEFT]]
        out[:, X] = -out[:, X]
        out[:, POINT_X] = -out[:, POINT_X]
    out[:, [Z, X, Y, RANGE, WIDTH, HEIGHT]] *= scale
    out[:, POINT] *= scale
    return out


def fitted_intrinsics(
    stored: Sequence[float], full: tuple[int, int], size: tuple[int, int], mirrored: bool
) -> tuple[float, ...]:
    """(fx, fy, cx, cy) of a frame of (width, height) ``full`` that `frames.fit` has brought to
    ``size``, and `frames.flip` has mirrored."""
    fx, fy, cx, cy = stored
    left, top, width, height = window(full, size)
    k = Intrinsics(fx, fy, cx - left, cy - top, width, height).scaled(*size)
    return k.fx, k.fy, size[0] - 1 - k.cx if mirrored else k.cx, k.cy


@dataclass(frozen=True)
class FrameText:
    """A frame to write about. `rows`: its object table as it will be shown (mirrored, scaled);
    `free`: free space ahead [m]; `lacks`: whether the segmentation was not drawn yet."""

    rows: NDArray[np.float32]
    free: float
    intrinsics: tuple[float, ...]
    size: tuple[int, int]
    lacks: bool


@dataclass(frozen=True)
class Written:
    """Slots of some frames in parts of like length; per part the tokens that point, i64[M,5]:
    row of the part, token, frame, instance and class of the object."""

    parts: tuple[SlotArrays, ...]
    points: tuple[NDArray[np.int64], ...]


class SlotWriter:
    """Writes the slots of frames.

    Args:
        questions: ``(rows, free space, rng, count) -> questions`` with ``text`` and ``turn``.
        slots_per_frame: questions with maps, besides one direct slot and one more of either kind.
        fused: whether the maps enter the context as one block.
    """

    def __init__(
        self,
        maker: SlotMaker,
        questions: QuestionSource,
        slots_per_frame: int = 4,
        fused: bool = False,
    ) -> None:
        self.maker, self.questions = maker, questions
        self.slots_per_frame, self.fused = slots_per_frame, fused
        self.sees: Mapping[str, int] = FUSED_SEES if fused else SEES
        self.finder = PointFinder(maker.encoder.encode)

    def frame_slots(
        self,
        rows: np.ndarray,
        free: float,
        intrinsics: Sequence[float],
        size: tuple[int, int],
        rng: np.random.Generator,
        arithmetic: float = ARITHMETIC_SHARES[0],
        segmentation_missing: bool = False,
    ) -> list[Slot]:
        """Slots of one frame: answers, one direct, sometimes arithmetic (always where a frame has
        too few questions); a map request replaces one sometimes. Where the segmentation was not
        drawn yet, every slot with maps asks for it."""
        wanted = self.slots_per_frame + 1 + (rng.random() >= arithmetic)
        items = list(self.questions(rows, free, rng, wanted))
        slots: list[Slot] = []
        for i, q in enumerate(items):
            kind = "direct" if i == len(items) - 1 else "answer"
            if segmentation_missing and kind == "answer":
                slots.append(self.maker.request("segmentation", q.text))
            elif self.fused and i == 0 and rng.random() < 0.15:
                slots.append(self.maker.request("depth", q.text))
            elif not self.fused and i == 0 and rng.random() < 0.3:
                slots.append(
                    self.maker.request("depth" if rng.random() < 0.5 else "segmentation", q.text)
                )
            else:
                slots.append(self.maker.make(kind, q.text, q.turn))
        while len(slots) < self.slots_per_frame + 2:
            slots.append(self.maker.arithmetic(intrinsics, *size, rng))
        return slots

    def write(self, frames: Sequence[FrameText], seed: int, arithmetic: float) -> Written:
        """All slots of a batch."""
        rng = np.random.default_rng(seed)
        slots: list[Slot] = []
        for f in frames:
            slots += self.frame_slots(
                f.rows, f.free, f.intrinsics, f.size, rng, arithmetic, f.lacks
            )
        parts = arrays_by_length(slots, self.maker.eos, len(slots) // len(frames), sees=self.sees)
        points = [self._points(part, frames) for part in parts] if self.fused else []
        return Written(tuple(parts), tuple(points))

    def _points(self, part: SlotArrays, frames: Sequence[FrameText]) -> NDArray[np.int64]:
        found: list[tuple[int, int, int, int, int]] = []
        for at, frame in enumerate(part.frames.tolist()):
            if part.maps[at]:
                rows = frames[frame].rows
                for p in self.finder.find(part.ids[at].tolist(), rows):
                    row = rows[p.row]
                    found.append((at, p.token, frame, int(row[INSTANCE]), int(row[CLASS])))
        return np.array(found, np.int64).reshape(-1, 5)


_writer: SlotWriter | None = None


def _start(tokenizer: str, bos: int, eos: int, grammar: int, slots: int, fused: bool) -> None:
    global _writer
    from cooper_ros.runtime.tokenizer import Tokenizer

    from .questions import question_source

    maker = SlotMaker(Tokenizer.load(Path(tokenizer)), bos, eos, grammar)
    _writer = SlotWriter(maker, question_source(grammar), slots, fused)


def _write(frames: Sequence[FrameText], seed: int, arithmetic: float) -> Written:
    assert _writer is not None
    return _writer.write(frames, seed, arithmetic)


class WritingAhead:
    """Other processes that write.

    Args:
        tokenizer: file of the tokenizer. The other values are those of `SlotMaker` and
        `SlotWriter`; the questions are the simulator's.
    """

    def __init__(
        self,
        processes: int,
        tokenizer: str | Path,
        bos: int,
        eos: int,
        grammar: int,
        slots: int,
        fused: bool,
    ) -> None:
        self.pool = ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), _start,
            (str(tokenizer), bos, eos, grammar, slots, fused),
        )  # fmt: skip
        self.depth = processes * AHEAD_PER_PROCESS
        self.waiting: deque[tuple[Any, Future[Written]]] = deque()

    def next(self, plan: Callable[[int], Any], step: int, arithmetic: float) -> tuple[Any, Written]:
        """The plan of a step and what was written for it; later steps are planned and asked for.

        Args:
            plan: step to a plan with ``frames`` and ``seed``.
        """
        if self.waiting and self.waiting[0][0].step != step:
            self.waiting.clear()
        last = self.waiting[-1][0].step if self.waiting else step - 1
        for later in range(last + 1, step + self.depth + 1):
            made = plan(later)
            self.waiting.append(
                (made, self.pool.submit(_write, made.frames, made.seed, arithmetic))
            )
        made, future = self.waiting.popleft()
        return made, future.result()

    def close(self) -> None:
        """Stop the processes."""
        self.pool.shutdown(cancel_futures=True)
