"""The lock set: a conformance set of our own model, small enough to live in the repository.

Weights come from a seeded generator, so they need not be stored: a fresh clone rebuilds them and
must get the stored results. Written on a day when the official set passes, it guards the same
ground where the official set is absent.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cooper_ros.evaluation.conformance import Ledger, Report, Verdict, report
from cooper_ros.evaluation.conformance_lock_inputs import question_texts, smooth_picture
from cooper_ros.evaluation.conformance_run import check_engine, run_exported
from cooper_ros.evaluation.conformance_runtime import conformance_spec
from cooper_ros.evaluation.conformance_torch import check_internals, check_training
from cooper_ros.model.backend import TorchBackend
from cooper_ros.model.configuration import CooperConfig
from cooper_ros.model.modeling import CooperModel
from cooper_ros.model.spec import model_spec
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.pictures import prepare
from cooper_ros.runtime.tokenizer import Tokenizer

SEED = 20261122
CONFIG: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vision": {
        "type": "siglip_navit",
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_attention_heads": 2,
        "num_layers": 2,
        "patch_size": 14,
    },
    "autoencoder": {
        "ch": 8,
        "ch_mult": [1, 2, 2, 2],
        "num_res_blocks": 1,
        "z_channels": 16,
        "scale_factor": 0.3611,
        "shift_factor": 0.1159,
        "norm_num_groups": 4,
    },
    "max_patches_per_side": 16,
    "max_latent_size": 16,
    "special_tokens": {"bos": 270, "eos": 271, "vision_start": 272, "vision_end": 273},
}
MERGES = (
    "h e",
    "Ġ t",
    "i n",
    "Ġt he",
    "a r",
    "Ġ a",
    "t h",
    "e r",
    "o n",
    "Ġ m",
    "2 3",
    "d e",
    "p th",
)


def lock_tokenizer_files(folder: Path) -> None:
    """A byte-level vocabulary with a few merges, in the Qwen2 format: 13 merges, then 1 end token
    fill the ids up to the markers of `CONFIG`."""
    from tokenizers.pre_tokenizers import ByteLevel

    symbols = [*sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]
    vocab = {symbol: index for index, symbol in enumerate(symbols)}
    config = {"eos_token": "<|endoftext|>", "additional_special_tokens": []}
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(MERGES) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def seeded_model(config: CooperConfig, seed: int = SEED) -> CooperModel:
    """Weights from a generator whose stream numpy has frozen (RandomState), by sorted name.

    Matrices have the deviation 1/sqrt(inputs), norm gains lie around 1, biases around 0; position
    tables keep their formula.
    """
    model = CooperModel(config)
    random = np.random.RandomState(seed)
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if name.endswith("pos_embed"):
                continue
            values = random.standard_normal(tuple(tensor.shape))
            if tensor.ndim > 1:
                values /= np.sqrt(np.prod(tensor.shape[1:]))
            else:
                values = 0.1 * values + (1.0 if name.endswith("weight") else 0.0)
            tensor.copy_(torch.from_numpy(values.astype(np.float32)))
    return model.eval()


class _Recorder(Ledger):
    """A ledger that stores results instead of comparing them."""

    def __init__(self, arrays: dict[str, np.ndarray], cases: dict[str, Any]) -> None:
        self.arrays, self.cases = arrays, cases
        self.tolerance = None
        self.after_colour_tolerance = 0.0
        self.verdicts: list[Verdict] = []
        self.inputs: set[str] = set()
        self._compared: set[str] = set()

    def close(self, name: str, value: np.ndarray, tolerance: float = 1e-4, note: str = "") -> None:
        """Store the first result of this name."""
        self._store(name, np.asarray(value, dtype=np.float32))

    def levels(self, name: str, value: np.ndarray, note: str = "levels") -> None:
        """Store a uint8 picture."""
        self._store(name, value)

    def share(self, name: str, value: np.ndarray, tolerance: float, note: str = "share") -> None:
        """Store a uint8 picture."""
        self._store(name, value)

    def same(self, name: str, value: Any, note: str = "exact") -> None:
        """Store an exact entry, as json would."""
        if isinstance(value, np.ndarray):
            self._store(name, value)
        elif name not in self._compared:
            self.cases[name] = json.loads(json.dumps(value))
            self._compared.add(name)

    def _store(self, name: str, value: np.ndarray) -> None:
        if name not in self._compared:
            self.arrays[name] = value
            self._compared.add(name)


def write_lock(path: str | Path) -> int:
    """Run all checks on the seeded model and store what they give. Returns the size in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        lock_tokenizer_files(Path(folder))
        tokenizer = Tokenizer.from_qwen2(folder)
    recorder = _Recorder(*_questions(tokenizer))
    _check(recorder, tokenizer)
    arrays = dict(recorder.arrays)
    text = json.dumps(_nested(recorder.cases), separators=(",", ":")).encode()
    arrays["cases.json"] = np.frombuffer(text, dtype=np.uint8)
    _save(Path(path), arrays)
    return Path(path).stat().st_size


def run_lock(path: str | Path, exported: str | Path | None = None) -> Report:
    """Rebuild the seeded model and compare every stored entry.

    With a folder of `export_lock`, compare what its graphs and the host code can answer, at 1e-3.
    """
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    cases = arrays.pop("cases.json").tobytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lock_tokenizer_files(folder)
        np.savez(folder / "cases.npz", **arrays)
        (folder / "cases.json").write_bytes(cases)
        if exported is not None:
            return run_exported(folder, exported)
        ledger = Ledger(folder)
        ledger.after_colour_tolerance = 1e-3
        _check(ledger, Tokenizer.from_qwen2(folder))
    return report(ledger, "torch, seeded weights")


def export_lock(out: str | Path) -> None:
    """Write the seeded model as a model folder, in float32."""
    from cooper_ros.export.exporter import ExportOptions, export_model

    with tempfile.TemporaryDirectory() as folder:
        lock_tokenizer_files(Path(folder))
        tokenizer = Tokenizer.from_qwen2(folder)
    model = seeded_model(CooperConfig(**CONFIG))
    export_model(model, tokenizer, out, ExportOptions(name="lock", dtype="float32"))


def _check(ledger: Ledger, tokenizer: Tokenizer) -> None:
    model = seeded_model(CooperConfig(**CONFIG))
    spec = conformance_spec(model_spec(model.config), ledger)
    engine = Engine(TorchBackend(model), spec, tokenizer)
    check_engine(ledger, engine)
    check_internals(ledger, engine, model)
    check_training(ledger, engine, model)


def _questions(tokenizer: Tokenizer) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Inputs of every check, and forms of those results that a check reads before it gives them."""
    random = np.random.RandomState(SEED + 1)
    spec = model_spec(CooperConfig(**CONFIG))
    cases = question_texts(tokenizer)
    arrays: dict[str, np.ndarray] = {}
    for name, size in (("image", (50, 66)), ("image2", (64, 48)), ("image3", (43, 78))):
        arrays[name] = smooth_picture(random, *size)
    recorder = _Recorder(arrays, cases)
    spec = conformance_spec(spec, recorder)
    counts = {}
    for name in ("image", "image2", "image3"):
        pictures = prepare(spec, arrays[name])
        counts[name] = pictures.rows * pictures.columns
    for name, count in (
        ("init_noise", counts["image"]),
        ("loop_noise_0", counts["image2"]),
        ("loop_noise_1", counts["image2"]),
        ("loop2_noise_0", counts["image3"]),
        ("train_noise", 2 * counts["image"]),
        ("train2_noise", 4 * counts["image"]),
    ):
        arrays[name] = random.standard_normal((count, spec.latent_dim)).astype(np.float32)
    pictures = prepare(spec, arrays["image"])
    shape = (4, spec.latent_channels, 2 * pictures.rows, 2 * pictures.columns)
    arrays["train2_latents"] = random.standard_normal(shape).astype(np.float32)
    count = counts["image"]
    cases["train.timestep_logits"] = ["-inf"] * count + [0.3] * count
    cases["train2.timestep_logits"] = sum(
        (["-inf"] * count, [-0.4] * count, [1.1] * count, [-1.7] * count), []
    )
    return arrays, cases


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *groups, leaf = name.split(".")
        target = nested
        for group in groups:
            target = target.setdefault(group, {})
        target[leaf] = value
    return nested


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """np.savez_compressed without time stamps: the same content gives the same file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in sorted(arrays.items()):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED
            )
