"""What a real camera does to a clean picture: exposure, colour cast, blur, noise, JPEG."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def reduce(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """Averages of areas: u8[H,W,3] to f32[height,width,3] in 0..255."""
    small = cv2.resize(
        image.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
    )
    return np.asarray(small, np.float32)


def _blur(image: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    """3x3 separable blur; `weight` is that of each neighbour."""
    w = np.float32(weight)
    for axis in (0, 1):
        padded = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        before = padded[:-2] if axis == 0 else padded[:, :-2]
        after = padded[2:] if axis == 0 else padded[:, 2:]
        image = image * (1 - 2 * w) + (before + after) * w
    return image


def exposure_gain(image: NDArray[np.float32] | NDArray[np.uint8]) -> float:
    """Gain of an automatic exposure, which brings most pictures near middle grey, not all."""
    mean = max(float(image[::4, ::4].mean()), 1.0)
    return float(np.clip((122.0 / mean) ** 0.75, 0.5, 2.5))


def photograph(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """f32[H,W,3] in 0..255 to u8 with modest, random camera effects."""
    gain = exposure_gain(image) * np.exp(rng.normal(0, 0.13)) * np.exp(rng.normal(0, 0.04, 3))
    image = image * gain.astype(np.float32)
    if rng.random() < 0.5:  # tone curve
        power = np.float32(np.exp(rng.normal(0, 0.1)))
        image = ((np.clip(image, 0, 255) / 255) ** power * 255).astype(np.float32)
    if rng.random() < 0.35:
        image = _blur(image, rng.uniform(0.03, 0.22))
    sigma = np.float32(rng.uniform(0.5, 5.0))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image = image + noise * sigma
    out = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        Image.fromarray(out).save(buffer, "JPEG", quality=int(rng.integers(55, 96)))
        out = np.asarray(Image.open(buffer))
    return np.ascontiguousarray(out)
