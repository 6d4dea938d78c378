"""The loop around a stage: budget, schedule, gradient averaging, logging, exact resume.

A stage is an object with ``model``, ``loss(step, progress, generator) -> (Tensor, dict)`` and
``evaluate() -> dict``. Randomness of a step depends on (seed, step, rank) only, so a run that
resumes from a
checkpoint does what it would have done without the break.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cooper_ros.model.checkpoint import save_model

from .device import draw_seed, host_generator, put
from .optim import Ema, Optimizers

SHARD_BYTES = 14_000_000


class Stage(Protocol):
    """What the engine trains."""

    model: nn.Module

    def loss(
        self, step: int, progress: float, g: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of one batch and figures to log (``samples`` is required)."""

    def evaluate(self) -> dict[str, float]:
        """Figures on the validation set, with the averaged weights in place."""

    def refresh(self) -> None:
        """Called now and then: take in new data."""


@dataclass
class Budget:
    """When to stop: after ``steps`` (deterministic) or after ``minutes`` of training time.

    ``hold`` is the fraction of the budget at the full learning rate before it falls linearly to
    zero.
    """

    minutes: float = 0.0
    steps: int = 0
    warmup_steps: int = 25
    hold: float = 0.3

    def progress(self, step: int, seconds: float) -> float:
        """Fraction of the budget that is spent."""
        return min(1.0, step / self.steps if self.steps else seconds / (60 * self.minutes))

    def factor(self, step: int, progress: float) -> float:
        """Learning-rate factor."""
        fall = 1.0 if progress < self.hold else (1 - progress) / (1 - self.hold)
        warmup = (
            min(self.warmup_steps, max(1, self.steps // 5)) if self.steps else self.warmup_steps
        )
        return min(1.0, (step + 1) / warmup) * max(fall, 0.0) + 1e-4


def save_tensors(tensors: Mapping[str, Tensor], folder: Path, stem: str) -> None:
    """Write tensors as ``stem-*.safetensors`` of at most 15 MB each."""
    for old in folder.glob(f"{stem}-*.safetensors"):
        old.unlink()
    part: dict[str, Tensor] = {}
    used = count = 0
    for name, t in tensors.items():
        part[name] = t.detach().cpu().contiguous().clone()
        used += t.numel() * t.element_size()
        if used > SHARD_BYTES - 4_000_000:
            save_file(part, str(folder / f"{stem}-{count:03d}.safetensors"))
            part, used, count = {}, 0, count + 1
    if part:
        save_file(part, str(folder / f"{stem}-{count:03d}.safetensors"))


def load_tensors(folder: Path, stem: str) -> dict[str, Tensor]:
    """Inverse of :func:`save_tensors`; empty where there are none."""
    out: dict[str, Tensor] = {}
    for path in sorted(folder.glob(f"{stem}-*.safetensors")):
        with safe_open(str(path), "pt") as f:
            for name in f.keys():  # noqa: SIM118 - not a dict
                out[name] = f.get_tensor(name)
    return out


class Engine:
    """Train a stage.

    Args:
        folder: where the log (``log.jsonl``), the resumable state and the averaged model go.
        rank, world: this process and their number; gradients are averaged over all (gloo or nccl).
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
        eval_seconds: float = 240.0,
        save_seconds: float = 300.0,
        log_steps: int = 20,
    ) -> None:
        self.stage, self.folder, self.budget = stage, Path(folder), budget
        self.seed, self.rank, self.world = seed, rank, world
        self.folder.mkdir(parents=True, exist_ok=True)
        self.optim = Optimizers(stage.model, muon_lr, adam_lr)
        self.ema = Ema(stage.model, ema)
        self.eval_seconds, self.save_seconds, self.log_steps = eval_seconds, save_seconds, log_steps
        self.step, self.seconds, self.samples = 0, 0.0, 0
        self.resume()

    # --- state
    # -----------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Continue from the folder's state, if it holds one."""
        path = self.folder / "state.json"
        if not path.exists():
            return
        state = json.loads(path.read_text())
        self.step, self.seconds, self.samples = state["step"], state["seconds"], state["samples"]
        self.ema.count = state["ema_count"]
        weights = load_tensors(self.folder, "weights")
        with torch.no_grad():
            for n, p in self.stage.model.named_parameters():
                if n in weights:
                    p.copy_(weights[n])
        self.ema.tensors.update({n: put(t) for n, t in load_tensors(self.folder, "ema").items()})
        self.optim.load_state_tensors(load_tensors(self.folder, "optimizer"))

    def save(self) -> None:
        """Write the resumable state and the averaged model (rank 0)."""
        if self.rank:
            return
        trained = {n: p for n, p in self.stage.model.named_parameters() if p.requires_grad}
        save_tensors(trained, self.folder, "weights")
        save_tensors(self.ema.tensors, self.folder, "ema")
        save_tensors(self.optim.state_tensors(), self.folder, "optimizer")
        (self.folder / "state.json").write_text(
            json.dumps(
                {
                    "step": self.step,
                    "seconds": self.seconds,
                    "samples": self.samples,
                    "ema_count": self.ema.count,
                    "seed": self.seed,
                }
            )
        )
        model: Any = self.stage.model
        state = {**model.state_dict(), **self.ema.tensors}
        state = {n: t for n, t in state.items() if not n.startswith("aux_")}  # training only
        save_model(model, self.folder / "model", torch.float32, tensors=state)
        read_out = getattr(model, "aux_maps", None)
        if read_out is not None:
            read_out.save(self.folder / "model")

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

    def run(self) -> dict[str, float]:
        """Train until the budget is spent; returns the last evaluation."""
        next_eval = self.seconds + self.eval_seconds
        next_save = self.seconds + self.save_seconds
        sums: dict[str, float] = {}
        count = 0
        while True:
            self.seconds = self.agreed_seconds()
            progress = self.budget.progress(self.step, self.seconds)
            if progress >= 1.0:
                break
            start = time.perf_counter()
            g = host_generator((self.seed * 1_000_003 + self.step) * 64 + self.rank)
            torch.manual_seed(draw_seed(g))
            loss, figures = self.stage.loss(self.step, progress, g)
            loss.backward()
            self.average_gradients()
            self.optim.step(self.budget.factor(self.step, progress))
            if not self.rank:
                self.ema.update(self.stage.model)
            self.step += 1
            self.samples += int(figures.pop("samples")) * self.world
            self.seconds += time.perf_counter() - start
            for k, v in figures.items():
                sums[k] = sums.get(k, 0.0) + v
            count += 1
            if self.step % self.log_steps == 0:
                self.log("train", {k: v / count for k, v in sums.items()})
                sums, count = {}, 0
                self.stage.refresh()
            if self.seconds > next_eval:
                next_eval = self.seconds + self.eval_seconds
                self.evaluate()
            if self.seconds > next_save:
                next_save = self.seconds + self.save_seconds
                self.save()
        self.save()
        return self.evaluate()

    def evaluate(self) -> dict[str, float]:
        """Evaluate the averaged weights (rank 0; the others wait at the next average)."""
        if self.rank:
            return {}
        self.ema.swap(self.stage.model)
        self.stage.model.eval()
        with torch.no_grad():
            figures = self.stage.evaluate()
        self.stage.model.train()
        self.ema.swap(self.stage.model)
        self.log("eval", figures)
        return figures
