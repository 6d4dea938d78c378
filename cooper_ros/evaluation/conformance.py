"""Conformance: does this implementation give what the official one gives, entry by entry?

A conformance folder holds a tiny checkpoint in the official layout, `cases.npz` and `cases.json`.
Every array and every entry there must be claimed: compared with our result, or read as an input.
An entry that no check claims is a miss, so that nothing is silently left out.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cooper_ros.core.errors import CooperError

# What a check may read without comparing it. Everything else must be compared.
INPUTS = (
    "image",
    "image2",
    "image3",
    "*_noise",
    "*_noise_*",
    "train2_latents",
    "prompts.*",
    "vae_transform",
    "vit_transform",
    "velocity_cases.*",
    "velocity_cases_extra.*",
    "loop*.question",
    "loop*.script",
    "loop*.num_timesteps",
    "loop*.cfg",
    "train*.timestep_logits",
    "train*.timestep_shift",
    "train.order",
    "train2.order",
)
# Made only by training code or inside a graph: an exported folder cannot and need not show them.
TORCH_ONLY = ("vit_features", "vae_moments", "train*")


@dataclass(frozen=True)
class Verdict:
    """One comparison: relative error, differing levels, or 0/1 for exact entries."""

    name: str
    error: float
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is a number and within the tolerance."""
        return bool(self.error <= self.tolerance)


def relative_error(value: np.ndarray, expected: np.ndarray) -> float:
    """Norm of the difference over the norm of the expected; infinite for another shape."""
    value, expected = np.asarray(value), np.asarray(expected)
    if value.shape != expected.shape:
        return float("inf")
    norm = float(np.linalg.norm(expected.astype(np.float64)))
    difference = float(np.linalg.norm(value.astype(np.float64) - expected.astype(np.float64)))
    return difference / max(norm, 1e-30)


class Ledger:
    """The expected entries, what was claimed of them, and the verdicts."""

    def __init__(self, folder: str | Path, tolerance: float | None = None) -> None:
        """Read `cases.npz` and `cases.json`. `tolerance` raises that of every float comparison."""
        self.folder = Path(folder)
        for name in ("cases.npz", "cases.json"):
            if not (self.folder / name).is_file():
                raise CooperError(f"{self.folder} is no conformance folder: {name} is missing")
        with np.load(self.folder / "cases.npz") as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
        self.cases = _flatten(json.loads((self.folder / "cases.json").read_text(encoding="utf-8")))
        self.tolerance = tolerance
        self.after_colour_tolerance = 1e-4
        """For what follows a coloured depth map: one pixel on the edge of a colour step may fall to
        either side, and on a very small picture one pixel counts."""
        self.verdicts: list[Verdict] = []
        self.inputs: set[str] = set()
        self._compared: set[str] = set()

    def input(self, name: str) -> Any:
        """An array or entry that is given to the model. Raises KeyError for one to be compared."""
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in INPUTS):
            raise KeyError(f"{name} is a result, not an input")
        self.inputs.add(name)
        return self._get(name)

    def names(self, pattern: str) -> list[str]:
        """Entries that match a pattern, in stored order. Claims nothing."""
        return [name for name in (*self.arrays, *self.cases) if fnmatch.fnmatchcase(name, pattern)]

    def expected(self, name: str) -> Any:
        """A stored result, for checks that start from it. Claims nothing."""
        return self._get(name)

    def close(self, name: str, value: np.ndarray, tolerance: float = 1e-4, note: str = "") -> None:
        """Compare floats: relative error of the norms."""
        tolerance = max(tolerance, self.tolerance or 0.0)
        self._verdict(name, relative_error(value, self._get(name)), tolerance, note)

    def levels(self, name: str, value: np.ndarray, note: str = "levels") -> None:
        """Compare uint8 pictures: at most one level of difference."""
        expected = self._get(name)
        error = float("inf")
        if value.dtype == np.uint8 and value.shape == expected.shape:
            error = float(np.abs(value.astype(int) - expected.astype(int)).max())
        self._verdict(name, error, 1.0, note)

    def share(self, name: str, value: np.ndarray, tolerance: float, note: str = "share") -> None:
        """Compare pictures element by element: share of elements that differ."""
        expected = self._get(name)
        error = float("inf")
        if value.shape == expected.shape:
            error = float(np.mean(value != expected))
        self._verdict(name, error, tolerance, note)

    def same(self, name: str, value: Any, note: str = "exact") -> None:
        """Compare lists, numbers or strings, or integer arrays, exactly."""
        expected = self._get(name)
        if isinstance(expected, np.ndarray):
            equal = np.array_equal(np.asarray(value), expected)
        else:
            equal = _plain(value) == expected
        self._verdict(name, 0.0 if equal else 1.0, 0.0, note)

    def unclaimed(self, ignore: Iterable[str] = ()) -> list[str]:
        """Entries that no check compared and none read as an input."""
        patterns = [*ignore, *(f"{pattern}.*" for pattern in ignore)]
        return [
            name
            for name in (*self.arrays, *self.cases)
            if name not in self._compared
            and name not in self.inputs
            and not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        ]

    def _get(self, name: str) -> Any:
        return self.arrays[name] if name in self.arrays else self.cases[name]

    def _verdict(self, name: str, error: float, tolerance: float, note: str) -> None:
        self._compared.add(name)
        self.verdicts.append(Verdict(name, error, tolerance, note))


@dataclass(frozen=True)
class Report:
    """All verdicts and all misses of a run."""

    verdicts: tuple[Verdict, ...]
    inputs: tuple[str, ...]
    unclaimed: tuple[str, ...]
    skipped: tuple[str, ...]
    backend: str

    @property
    def passed(self) -> bool:
        """Every comparison within its tolerance and every entry claimed."""
        return not self.unclaimed and all(verdict.passed for verdict in self.verdicts)

    def table(self) -> str:
        """name / error / tolerance / verdict, one line each, misses of every kind included."""
        rows = [
            f"{verdict.name:<38} {verdict.error:>10.2e} {verdict.tolerance:>9.0e}  "
            f"{'ok' if verdict.passed else 'MISS':<5} {verdict.note}"
            for verdict in self.verdicts
        ]
        rows += [
            f"{name:<38} {'':>10} {'':>9}  MISS  no check claims it" for name in self.unclaimed
        ]
        head = f"{'name':<38} {'error':>10} {'tolerance':>9}  verdict"
        failed = sum(not verdict.passed for verdict in self.verdicts) + len(self.unclaimed)
        tail = (
            f"{len(self.verdicts)} comparisons with backend {self.backend}, "
            f"{len(self.inputs)} entries read as input, {failed} missed"
        )
        if self.skipped:
            tail += f", {len(self.skipped)} entries of training or graph internals left to torch"
        return "\n".join([head, *rows, tail])

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "passed": self.passed,
            "backend": self.backend,
            "comparisons": [
                {
                    "name": verdict.name,
                    "error": verdict.error if np.isfinite(verdict.error) else None,
                    "tolerance": verdict.tolerance,
                    "passed": verdict.passed,
                    "note": verdict.note,
                }
                for verdict in self.verdicts
            ],
            "inputs": list(self.inputs),
            "unclaimed": list(self.unclaimed),
            "skipped": list(self.skipped),
        }


def report(ledger: Ledger, backend: str, ignore: Iterable[str] = ()) -> Report:
    """Close a ledger; entries matching `ignore` may stay unclaimed."""
    ignore = tuple(ignore)
    missing = ledger.unclaimed(ignore)
    skipped = [name for name in ledger.unclaimed() if name not in missing]
    return Report(
        tuple(ledger.verdicts),
        tuple(sorted(ledger.inputs)),
        tuple(missing),
        tuple(skipped),
        backend,
    )


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of nested objects under dotted names; lists are leaves."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat |= _flatten(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
