"""Quick answer scores during training: distance questions on validation frames, with the model's
own maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.reasoning.chains import parse_chains
from cooper_ros.reasoning.reading import read_answer
from cooper_ros.runtime.tokenizer import Tokenizer

from .device import host_generator
from .frames import FrameStore, fit
from .precision import autocast


class AnswerScore:
    """Distance questions: error of the answer, and whether the written place is the object's."""

    def __init__(self, val: FrameStore, tokenizer: Tokenizer, frames: int = 64) -> None:
        self.val, self.tokenizer, self.frames = val, tokenizer, frames

    def questions(self) -> list[tuple[int, str, float]]:
        """(frame, object, distance m) for objects that are alone of their class and well
        visible."""
        out = []
        for frame in range(min(self.frames, len(self.val))):
            rows = self.val.frame_objects[frame]
            classes = rows[:, 1].astype(int)
            for row in rows:
                if (classes == int(row[1])).sum() == 1 and row[3] >= 0.01:
                    out.append((frame, CLASS_NAMES[int(row[1])], float(row[9])))
        return out

    @torch.no_grad()
    def __call__(self, stage: Any) -> dict[str, float]:
        """Score a stage-2 stage: with its own maps (`answer`), with true maps (`true`), and from
        the picture alone (`direct`)."""
        found = {kind: _Kind() for kind in ("answer", "true", "direct")}
        items = self.questions()
        for start in range(0, len(items), 32):
            self._batch(stage, items[start : start + 32], found)
        out: dict[str, float] = {"questions": float(len(items))}
        for kind, kept in found.items():
            out |= {f"{kind}_{name}": value for name, value in kept.figures().items()}
        return out

    def _batch(
        self, stage: Any, items: list[tuple[int, str, float]], found: dict[str, _Kind]
    ) -> None:
        passes, maker, eos = stage.maps.passes, stage.maker, stage.maker.eos
        b = fit(self.val.batch(torch.tensor([f for f, _, _ in items])), *stage.maps.sizes[-1][1:3])
        rows, columns = passes.grid(b)
        count = len(items)
        every, ones = torch.ones(count, dtype=torch.bool), torch.ones(count)
        with autocast():
            image = passes.see(b)
            predicted = passes.generate(image, rows, columns).float()
            for kind, kept in found.items():
                own = every if kind != "true" else ~every
                full = stage.context(b, image, own, ones, ~every, predicted, host_generator(0))
                leads = []
                for _, name, _ in items:
                    q = list(self.tokenizer.encode(f"how far is the {name} ?"))
                    mode = maker.mode if kind == "direct" else []
                    leads.append([*mode, maker.bos, *q, eos, maker.bos])
                blocks = stage.sees["direct" if kind == "direct" else "answer"]
                turns = stage.passes.decode(full, leads, [blocks] * count, rows * columns + 2, eos)
                for i, ((_, name, truth), ids) in enumerate(zip(items, turns, strict=True)):
                    text = self.tokenizer.decode(ids)
                    kept.add(text, truth)
                    kept.add_place(text, b.classes[i] == CLASS_NAMES.index(name))


class _Kind:
    """What the answers of one kind were worth."""

    def __init__(self) -> None:
        self.errors: list[float] = []
        self.sideways: list[float] = []
        self.on_object: list[bool] = []

    def add(self, text: str, truth: float) -> None:
        value = read_answer(text).value
        self.errors.append(abs(value - truth) / truth if np.isfinite(value) else 9.0)

    def add_place(self, text: str, mask: Tensor) -> None:
        """The written place of the first object against the pixels of its class."""
        chains = parse_chains(text)
        if not chains or not bool(mask.any()):
            return
        height, width = mask.shape
        median = float(mask.nonzero()[:, 1].float().median())
        u, v = ((chains[0].u + 0.5) / 100, (chains[0].v + 0.5) / 100)
        self.sideways.append(abs(u - (median + 0.5) / width))
        self.on_object.append(bool(mask[int(v * height), int(u * width)]))

    def figures(self) -> dict[str, float]:
        """Median error, shares within 20 and 25 %, parsed; places within 5 % of the width and on
        the object."""
        e = np.array(self.errors or [np.nan])
        places = np.array(self.sideways or [np.nan])
        return {
            "median": float(np.median(e)),
            "20": float((e < 0.2).mean()),
            "25": float((e < 0.25).mean()),
            "parsed": float((e < 9).mean()),
            "u_within_5": float((places < 0.05).mean()),
            "on_object": float(np.mean(self.on_object)) if self.on_object else 0.0,
        }
