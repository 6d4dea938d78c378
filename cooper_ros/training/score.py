"""Quick answer scores during training: distance questions on validation frames, with the model's
own maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.reasoning.chains import parse_chains
from cooper_ros.reasoning.reading import read_answer
from cooper_ros.runtime.tokenizer import Tokenizer

from .frames import FrameStore, fit
from .precision import autocast
from .slots import SEES


class AnswerScore:
    """Median relative error and share within 20 and 25 %, with maps and without."""

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
        """Score a stage-2 stage."""
        errors: dict[str, list[float]] = {"answer": [], "direct": []}
        chain_gap: list[float] = []
        items = self.questions()
        maker, passes = stage.maker, stage.passes
        bos, eos = maker.bos, maker.eos
        for start in range(0, len(items), 32):
            part = items[start : start + 32]
            b = fit(
                self.val.batch(torch.tensor([f for f, _, _ in part])), *stage.maps.sizes[-1][1:3]
            )
            rows, columns = stage.maps.passes.grid(b)
            with autocast():
                image = stage.maps.passes.see(b)
                own = stage.maps.passes.generate(image, rows, columns).float()
                full = passes.context(image, rows, columns, own)
                for kind in errors:
                    leads = []
                    for _, name, _ in part:
                        q = list(self.tokenizer.encode(f"how far is the {name} ?"))
                        leads.append([*(maker.mode if kind == "direct" else []), bos, *q, eos, bos])
                    turns = passes.decode(
                        full, leads, [SEES[kind]] * len(part), rows * columns + 2, eos
                    )
                    for (_, _, truth), ids in zip(part, turns, strict=True):
                        text = self.tokenizer.decode(ids)
                        value = read_answer(text).value
                        error = abs(value - truth) / truth if np.isfinite(value) else 9.0
                        errors[kind].append(error)
                        chains = parse_chains(text)
                        if kind == "answer" and chains and np.isfinite(value):
                            chain_gap.append(abs(chains[0].distance_m - value) / max(value, 0.1))
        out: dict[str, float] = {"questions": float(len(items))}
        for kind, e in errors.items():
            a = np.array(e)
            out.update(
                {
                    f"{kind}_median": float(np.median(a)),
                    f"{kind}_20": float((a < 0.2).mean()),
                    f"{kind}_25": float((a < 0.25).mean()),
                    f"{kind}_parsed": float((a < 9).mean()),
                }
            )
        if chain_gap:
            out["chain_gap"] = float(np.median(chain_gap))
        return out
