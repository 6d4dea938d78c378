"""Every stage lowers its losses in a few steps, and an interrupted run ends where a whole one
does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

import cooper_ros.training.run as run  # noqa: E402
from cooper_ros.model.checkpoint import load_model  # noqa: E402


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch):
    """Random tower weights (the ImageNet package is not needed here), and one thread."""
    monkeypatch.setattr(run, "load_imagenet_tower", lambda model: "none")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def options(stage: str, shards: Path, out: Path, **kwargs) -> run.TrainOptions:
    base = {
        "seed": 3,
        "batch": 8,
        "log_steps": 1,
        "eval_seconds": 1e9,
        "save_seconds": 1e9,
        "hold": 0.8,
        "ema": 0.9,
        "sizes": ["0:64x48:8"],
        "score_frames": 4,
        "numbers": "float32",  # as fast as any at this size, and nothing is measured
    }
    return run.TrainOptions(stage, str(shards), str(shards), str(out), **{**base, **kwargs})


def losses(out: Path) -> list[dict]:
    lines = [json.loads(x) for x in (out / "log.jsonl").read_text().splitlines()]
    return [x for x in lines if x["kind"] == "train"]


def falls(out: Path, *names: str) -> None:
    log = losses(out)
    for name in names:
        values = [x[name] for x in log if name in x]
        quarter = max(1, len(values) // 4)
        first, last = values[:quarter], values[-quarter:]
        assert sum(last) / len(last) < sum(first) / len(first), (name, values)


def test_twenty_steps_lower_every_loss(shards, photo_folder, tiny_config, tmp_path):
    ae, see, amg, sft = (tmp_path / name for name in ("ae", "see", "amg", "sft"))
    run.train(options("autoencoder", shards, ae, steps=20, config=str(tiny_config)))
    falls(ae, "depth", "class")
    # The losses of drawn maps say something only behind a decoder that can draw.
    run.train(options("autoencoder", shards, ae, steps=45, config=str(tiny_config)))
    photos = {"photos": str(photo_folder)}
    run.train(options("see", shards, see, steps=20, start=str(ae / "model"), **photos))
    falls(see, "seen_depth", "seen_class")
    run.train(options("amg", shards, amg, steps=20, start=str(see / "model"), **photos))
    falls(amg, "latent_depth", "latent_class", "depth", "class")
    # the read-out of `see` goes on, it does not start anew
    assert losses(amg)[0]["seen_class"] < losses(see)[0]["seen_class"]
    run.train(options("sft", shards, sft, steps=20, start=str(amg / "model"), batch=4))
    falls(sft, "text")
    model = load_model(sft / "model")
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_resume_is_exact(shards, tiny_config, tmp_path, monkeypatch):
    """Six steps in one run equal four steps, a stop, and two more."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    common = {"config": str(tiny_config), "stage": "autoencoder", "shards": shards}
    run.train(options(out=whole, steps=6, **common))

    class Stopped(Exception):
        pass

    original = run.Engine.run

    def stop_after_four(engine):
        update = engine.ema.update

        def counted(model):
            update(model)
            if engine.step == 3:  # the step counter moves on after the average
                engine.step += 1
                engine.samples += 8
                engine.save()
                raise Stopped

        engine.ema.update = counted
        return original(engine)

    monkeypatch.setattr(run.Engine, "run", stop_after_four)
    with pytest.raises(Stopped):
        run.train(options(out=parts, steps=6, **common))
    monkeypatch.setattr(run.Engine, "run", original)
    run.train(options(out=parts, steps=6, **common))
    a, b = load_model(whole / "model"), load_model(parts / "model")
    for (n, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), n


def test_checkpoint_files_are_small(shards, tiny_config, tmp_path):
    out = tmp_path / "ae"
    run.train(options("autoencoder", shards, out, steps=2, config=str(tiny_config)))
    files = list(out.rglob("*.safetensors"))
    assert len(files) >= 4
    assert max(f.stat().st_size for f in files) <= 15e6
