"""The loop around a stage: budget, schedule, gradient averaging, logging, exact resume.

A stage is an object with ``model``, ``loss(step, progress, generator) -> (Tensor, dict)`` and
``evaluate() -> dict``. Randomness of a step depends on (seed, step, rank) only, so a run that
resumes from a checkpoint does what it would have done without the break.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cooper_ros.core.errors import CooperError
from cooper_ros.model.checkpoint import save_model

from . import parts, precision
from .device import draw_seed, host_generator, put
from .optim import Ema, Optimizers
from .parts import Figures
from .state import (
    PLACE,
    Place,
    check_fits,
    finite,
    load_state,
    recover_folder,
    replace_folder,
    save_state,
    write_text,
)

TENSORS = ("weights", "ema", "optimizer")
REWARM_STEPS = 50
"""Steps over which the learning rate rises again where a run goes on without its optimiser."""


class Stage(Protocol):
    """What the engine trains."""

    model: nn.Module

    def loss(self, step: int, progress: float, g: torch.Generator) -> tuple[Tensor, Figures]:
        """Loss of one batch and figures to log (``samples`` is required)."""

    def evaluate(self) -> dict[str, float]:
        """Figures on the validation set, with the averaged weights in place."""

    def refresh(self) -> None:
        """Called now and then: take in new data."""

    def next_room(self) -> int:
        """Number of the next room of a stream, 0 without one."""


@dataclass
class Budget:
    """When a stage ends: after ``frames`` or ``steps`` (both deterministic) or ``minutes`` of
    training time.

    ``hold`` is the fraction of the budget at the full learning rate before it falls linearly to
    zero. ``piece_minutes``: the present call ends after so much time (0: at the end of the
    stage), and the next one goes on with the same schedule.
    """

    minutes: float = 0.0
    steps: int = 0
    warmup_steps: int = 25
    hold: float = 0.3
    frames: int = 0
    piece_minutes: float = 0.0

    def progress(self, step: int, seconds: float, samples: int = 0) -> float:
        """Fraction of the budget that is spent."""
        if self.frames:
            return min(1.0, samples / self.frames)
        return min(1.0, step / self.steps if self.steps else seconds / (60 * self.minutes))

    def factor(self, step: int, progress: float) -> float:
        """Learning-rate factor."""
        fall = 1.0 if progress < self.hold else (1 - progress) / (1 - self.hold)
        warmup = (
            min(self.warmup_steps, max(1, self.steps // 5)) if self.steps else self.warmup_steps
        )
        return min(1.0, (step + 1) / warmup) * max(fall, 0.0) + 1e-4


class Means:
    """Sums of figures, each divided by the steps that had it."""

    def __init__(self) -> None:
        self.sums: Figures = {}
        self.counts: dict[str, int] = {}

    def add(self, figures: Figures) -> None:
        """Figures of one step."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """Means since the last call."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


class Engine:
    """Train a stage.

    Args:
        folder: where the log (``log.jsonl``), the resumable state and the averaged model go.
        rank, world: this process and their number; gradients are averaged over all (gloo or nccl).
        name: of the stage, for the state file.
        go_on: where an earlier run of the stage had come, whose averaged weights the model has.
        profile: log the processor seconds of the parts of a step.
        eval_seconds: training time between evaluations; 0 for none at all.
    """

    def __init__(
        self,
        stage: Stage,
        folder: str | Path,
        budget: Budget,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        muon_lr: float = 0.02,
        adam_lr: float = 3e-3,
        ema: float = 0.998,
        eval_seconds: float = 120.0,
        save_seconds: float = 300.0,
        log_steps: int = 20,
        name: str = "",
        go_on: Place | None = None,
        profile: bool = False,
    ) -> None:
        self.stage, self.folder, self.budget = stage, Path(folder), budget
        self.seed, self.rank, self.world, self.name = seed, rank, world, name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.optim = Optimizers(stage.model, muon_lr, adam_lr)
        self.ema = Ema(stage.model, ema)
        self.eval_seconds, self.save_seconds, self.log_steps = eval_seconds, save_seconds, log_steps
        self.profile = profile
        self.step, self.seconds, self.samples = 0, 0.0, 0
        self.pending: tuple[int, Tensor] | None = None
        self.pieces: list[dict[str, Any]] = []
        self.rewarmed_from: int | None = None
        self.resume(go_on)

    # --- state
    # -----------------------------------------------------------------------------------------

    def resume(self, go_on: Place | None) -> None:
        """Continue from the folder's state if it holds one, else from ``go_on``."""
        if not self.rank:
            recover_folder(self.folder / "model")
        found = load_state(self.folder, TENSORS)
        if found is None:
            if go_on is not None:
                self._take_place(go_on)
                self.pieces = [*go_on.pieces, {"step": go_on.step, "samples": go_on.samples,
                                               "seconds": round(go_on.seconds, 1)}]  # fmt: skip
                self.rewarmed_from = self.step
            return
        place, (weights, average, optimizer) = found
        if place.stage and self.name and place.stage != self.name:
            raise CooperError(
                f"{self.folder} holds a run of stage {place.stage}, not of {self.name}: "
                "choose another --out"
            )
        self._take_place(place)
        self.pieces = place.pieces
        own = dict(self.stage.model.named_parameters())
        check_fits(weights, own, self.folder)
        with torch.no_grad():
            for n, p in own.items():
                if n in weights:
                    p.copy_(weights[n])
        self.ema.tensors.update({n: put(t) for n, t in average.items()})
        self.optim.load_state_tensors(optimizer)

    def _take_place(self, place: Place) -> None:
        self.step, self.seconds, self.samples = place.step, place.seconds, place.samples
        self.ema.count = place.ema_count

    def place(self) -> Place:
        """How far the run has come."""
        return Place(
            self.name,
            self.step,
            self.samples,
            round(self.seconds, 3),
            self.ema.count,
            self.seed,
            self.stage.next_room(),
            {k: v for k, v in vars(self.budget).items() if v},
            self.pieces,
        )

    def save(self) -> None:
        """Write the resumable state and the averaged model (rank 0).

        Raises CooperError where the last loss was not finite.
        """
        self._check_pending()
        if self.rank:
            return
        trained = {n: p for n, p in self.stage.model.named_parameters() if p.requires_grad}
        tensors = (trained, self.ema.tensors, self.optim.state_tensors())
        place = self.place()
        save_state(self.folder, place, dict(zip(TENSORS, tensors, strict=True)))
        replace_folder(self.folder / "model", lambda into: self._save_model(into, place))

    def _save_model(self, into: Path, place: Place) -> None:
        model: Any = self.stage.model
        state = {**model.state_dict(), **self.ema.tensors}
        state = {n: t for n, t in state.items() if not n.startswith("aux_")}  # training only
        save_model(model, into, torch.float32, tensors=state)
        write_text(into / PLACE, json.dumps(asdict(place), indent=1))
        read_out = getattr(model, "aux_maps", None)
        if read_out is not None:
            read_out.save(into)
        extra = getattr(self.stage, "save_beside", None)
        if extra is not None:
            extra(into)

    def log(self, kind: str, figures: dict[str, float]) -> None:
        """Append one line to ``log.jsonl`` (rank 0)."""
        if self.rank:
            return
        line = {
            "kind": kind,
            "step": self.step,
            "samples": self.samples,
            "seconds": round(self.seconds, 1),
            **{k: round(v, 5) for k, v in figures.items()},
        }
        with (self.folder / "log.jsonl").open("a") as f:
            f.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    # --- loop
    # -------------------------------------------------------------------------------------------

    def average_gradients(self) -> None:
        """Mean gradient over processes, as one flat message."""
        if self.world == 1:
            return
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.optim.params]
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        flat /= self.world
        at = 0
        for p, g in zip(self.optim.params, grads, strict=True):
            p.grad = flat[at : at + g.numel()].view_as(p)
            at += g.numel()

    def agreed_seconds(self) -> float:
        """Rank 0's clock, so that all processes follow one schedule."""
        if self.world == 1:
            return self.seconds
        t = torch.tensor([self.seconds], dtype=torch.float64, device="cpu")
        dist.broadcast(t, 0)
        return float(t[0])

    def rate(self, progress: float) -> float:
        """Learning-rate factor of the present step."""
        factor = self.budget.factor(self.step, progress)
        if self.rewarmed_from is not None:
            factor *= min(1.0, (self.step - self.rewarmed_from + 1) / REWARM_STEPS)
        return factor

    def one_step(self, progress: float) -> Figures:
        """Loss, gradient, update; returns the figures of the step."""
        g = host_generator((self.seed * 1_000_003 + self.step) * 64 + self.rank)
        torch.manual_seed(draw_seed(g))
        loss, figures = self.stage.loss(self.step, progress, g)
        if loss.device.type == "cpu":
            self._refuse_unless_finite(self.step, loss)
        else:  # a GPU is still at it: look at the step before instead of waiting
            self._check_pending()
            self.pending = (self.step, loss.detach())
        with parts.part("backward"):
            loss.backward()
        with parts.part("average"):
            self.average_gradients()
        with parts.part("optimiser"):
            self.optim.step(self.rate(progress))
            if not self.rank:
                self.ema.update(self.stage.model)
        return figures

    def _refuse_unless_finite(self, step: int, loss: Tensor) -> None:
        if not finite(loss):
            raise CooperError(
                f"the loss of step {step} is {float(loss.detach())}: the run is stopped, and "
                f"the state saved before it is kept in {self.folder}"
            )

    def _check_pending(self) -> None:
        """Raise CooperError where the loss that was not looked at yet is not finite."""
        if self.pending is not None:
            pending, self.pending = self.pending, None
            self._refuse_unless_finite(*pending)

    def run(self) -> dict[str, float]:
        """Train until the budget or the piece is spent; returns the last evaluation."""
        next_eval = self.seconds + self.eval_seconds
        next_save = self.seconds + self.save_seconds
        piece_end = self.seconds + 60 * self.budget.piece_minutes
        if not self.rank:
            print(f"numbers: {precision.present()}", flush=True)
        means = Means()
        while True:
            self.seconds = self.agreed_seconds()
            progress = self.budget.progress(self.step, self.seconds, self.samples)
            if progress >= 1.0 or (self.budget.piece_minutes and self.seconds >= piece_end):
                break
            start = time.perf_counter()
            figures = self.one_step(progress)
            self.step += 1
            self.samples += int(figures.pop("samples")) * self.world
            means.add(figures)
            self.seconds += time.perf_counter() - start
            if self.step % self.log_steps == 0:
                self.log("train", means.take())
                self._log_profile()
                self.stage.refresh()
            if self.eval_seconds and self.seconds > next_eval:
                next_eval = self.seconds + self.eval_seconds
                self.evaluate()
            if self.seconds > next_save:
                next_save = self.seconds + self.save_seconds
                self.save()
        self.save()
        return self.evaluate() if self.eval_seconds else {}

    def _log_profile(self) -> None:
        spent = parts.take()
        if self.profile:
            self.log("profile", {k: v / self.log_steps for k, v in sorted(spent.items())})

    def evaluate(self) -> dict[str, float]:
        """Evaluate the averaged weights (rank 0; the others wait at the next average)."""
        if self.rank:
            return {}
        booked = parts.take()  # what evaluation costs is no part of a step
        self.ema.swap(self.stage.model)
        self.stage.model.eval()
        with torch.no_grad():
            figures = self.stage.evaluate()
        self.stage.model.train()
        self.ema.swap(self.stage.model)
        parts.take()
        for name, seconds in booked.items():
            parts.add(name, seconds)
        self.log("eval", figures)
        return figures
