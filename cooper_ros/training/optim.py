"""Muon for matrices, AdamW for the rest, exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .precision import present


def orthogonalise(gradient: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrix by Newton-Schulz iteration (Jordan et al. 2024), in
    the format that `precision` chose for it.

    ``gradient`` ``[..., rows, columns]``; leading axes are a batch of matrices of one shape.
    """
    x = gradient.to(present().muon)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum, then orthogonalised update, for matrices (convolutions as ``[out, -1]``)."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            for p in params:
                if "momentum" not in self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
            # Calls over lists: on a GPU a hundred launches cost more than the arithmetic.
            grads = [p.grad for p in params if p.grad is not None]
            kept = [self.state[p]["momentum"] for p in params]
            torch._foreach_mul_(kept, group["momentum"])
            torch._foreach_add_(kept, grads)
            ahead = torch._foreach_add(grads, kept, alpha=group["momentum"])
            shapes: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
            for p, u in zip(params, ahead, strict=True):
                flat = u.reshape(p.shape[0], -1)
                shapes.setdefault((flat.shape[0], flat.shape[1]), []).append((p, flat))
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            for (rows, cols), entries in shapes.items():
                # One batched iteration per shape: fewer, larger matrix products.
                update = orthogonalise(torch.stack([u for _, u in entries]))
                scale = max(1.0, rows / cols) ** 0.5
                torch._foreach_add_(
                    [p for p, _ in entries],
                    [u.reshape(p.shape) for (p, _), u in zip(entries, update, strict=True)],
                    alpha=-group["lr"] * scale,
                )


ADAM_ONLY = (
    "position_embedding",
    "embed_tokens",
    "lm_head",
    "llm2vae",
    "ray_embed",
    "time_embedder",
    "conv_out",
)
TOWER = ("vit_model.stem", "vit_model.blocks")
"""Convolutions that were trained on photos: where they are trained at all, slowly, by AdamW, and
without decay towards zero."""
TOWER_SHARE = 0.05
"""Their learning rate over AdamW's."""


class Optimizers:
    """The optimisers of a stage, with one learning-rate factor for all."""

    def __init__(self, model: nn.Module, muon_lr: float = 0.02, adam_lr: float = 3e-3) -> None:
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        tower = [p for n, p in named if n.startswith(TOWER)]
        ids = {id(p) for p in tower}
        matrix = [
            p for n, p in named
            if p.ndim >= 2 and not any(k in n for k in ADAM_ONLY) and id(p) not in ids
        ]  # fmt: skip
        ids |= {id(p) for p in matrix}
        rest = [p for _, p in named if id(p) not in ids]
        self.params = [p for _, p in named]
        self.names = [n for n, _ in named]
        self.optimizers: list[torch.optim.Optimizer] = []
        self.base: list[float] = []
        if matrix:
            self.optimizers.append(Muon(matrix, muon_lr))
            self.base.append(muon_lr)
        if rest:
            self.optimizers.append(
                torch.optim.AdamW(rest, adam_lr, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.01)
            )
            self.base.append(adam_lr)
        if tower:
            self.optimizers.append(
                torch.optim.AdamW(tower, adam_lr, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0)
            )
            self.base.append(adam_lr * TOWER_SHARE)

    def step(self, factor: float) -> None:
        """Update with learning rates times ``factor`` and clear the gradients."""
        for opt, base in zip(self.optimizers, self.base, strict=True):
            for group in opt.param_groups:
                group["lr"] = base * factor
            opt.step()
            opt.zero_grad(set_to_none=True)

    def state_tensors(self) -> dict[str, Tensor]:
        """Optimiser state by parameter name, for checkpoints."""
        name = {id(p): n for p, n in zip(self.params, self.names, strict=True)}
        out: dict[str, Tensor] = {}
        for opt in self.optimizers:
            for p, state in opt.state.items():
                for key, value in state.items():
                    out[f"{name[id(p)]}|{key}"] = torch.as_tensor(value)
        return out

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of :meth:`state_tensors`; parameters without a state start afresh."""
        owner = {
            id(p): opt for opt in self.optimizers for g in opt.param_groups for p in g["params"]
        }
        by_name = dict(zip(self.names, self.params, strict=True))
        for full, value in tensors.items():
            name, key = full.rsplit("|", 1)
            if name in by_name:
                p = by_name[name]
                # AdamW counts its steps on the host
                owner[id(p)].state[p][key] = value.clone() if key == "step" else value.to(p.device)


class Ema:
    """Moving average of all trained tensors; the decay warms up as (1 + n) / (10 + n)."""

    def __init__(self, model: nn.Module, decay: float = 0.998) -> None:
        self.decay, self.count = decay, 0
        self.tensors = {
            n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the model's present weights."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        trained = [(n, p) for n, p in model.named_parameters() if n in self.tensors]
        averages = [self.tensors[n] for n, _ in trained]
        torch._foreach_lerp_(averages, [p for _, p in trained], 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange averaged and present weights (call twice to restore)."""
        for n, p in model.named_parameters():
            if n in self.tensors:
                kept = p.detach().clone()
                p.copy_(self.tensors[n])
                self.tensors[n] = kept
