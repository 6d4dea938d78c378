"""Where training computes, and where its random numbers come from.

New tensors appear on torch's default device. Random numbers are drawn on the host and moved, so
that a seed draws the same on every device. Noise the size of pictures is the exception: on a GPU it
is drawn there, from a seed of the host, because a step would wait a second for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from cooper_ros.core.errors import CooperError

DEVICES = ("auto", "cpu", "cuda")
BULK = 100_000
"""From so many numbers on, a GPU draws its own."""


def choose(name: str, processes: int = 1) -> torch.device:
    """The device of that name; ``auto`` takes a GPU where there is one.

    Raises:
        CooperError: unknown name, no GPU, or several processes for one GPU.
    """
    if name not in DEVICES:
        raise CooperError(f"--device {name}: it is one of {', '.join(DEVICES)}")
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise CooperError("--device cuda: torch sees no CUDA GPU on this machine")
    use = "cuda" if found and name != "cpu" and (name == "cuda" or processes == 1) else "cpu"
    if use == "cuda" and processes > 1:
        raise CooperError("--processes is for CPUs: one process uses a GPU fully")
    return torch.device(use)


def on(device: torch.device) -> AbstractContextManager[object]:
    """Make new tensors there. (Nothing to do for the host: torch's mode costs time per call.)"""
    return nullcontext() if device.type == "cpu" else device


def put(tensor: Tensor) -> Tensor:
    """``tensor`` on the device that computes."""
    return tensor.to(torch.get_default_device())


def host_generator(seed: int) -> torch.Generator:
    """A generator for the functions below."""
    return torch.Generator(device="cpu").manual_seed(seed)


def _where(shape: Sequence[int], g: torch.Generator) -> tuple[torch.device, torch.Generator]:
    """The device that draws numbers of a shape, and its generator."""
    device = torch.get_default_device()
    if device.type == "cpu" or math.prod(shape) < BULK:
        return torch.device("cpu"), g
    return device, torch.Generator(device=device).manual_seed(draw_seed(g))


def rand(*shape: int, g: torch.Generator) -> Tensor:
    """Uniform in [0, 1)."""
    device, generator = _where(shape, g)
    return put(torch.rand(shape, generator=generator, device=device))


def randn(shape: Sequence[int], g: torch.Generator) -> Tensor:
    """Standard normal."""
    device, generator = _where(shape, g)
    return put(torch.randn(tuple(shape), generator=generator, device=device))


def draw(g: torch.Generator) -> float:
    """One uniform number in [0, 1)."""
    return float(torch.rand((), generator=g, device="cpu"))


def draw_indices(end: int, count: int, g: torch.Generator) -> Tensor:
    """``[count]`` integers below ``end``, on the host."""
    return torch.randint(end, (count,), generator=g, device="cpu")


def draw_seed(g: torch.Generator) -> int:
    """A seed for another generator."""
    return int(torch.randint(2**31, (), generator=g, device="cpu"))
