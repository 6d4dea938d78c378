"""Training on a GPU, as far as a machine without one can tell: nothing mixes host and device.

Every tensor is labelled with the place where it would live. A GPU refuses operations on tensors of
two places, host generators for its own numbers, and `numpy()`; so does the label.
"""

from __future__ import annotations

import weakref

import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

from torch.overrides import TorchFunctionMode  # noqa: E402

import cooper_ros.training.device as device  # noqa: E402
import cooper_ros.training.run as run  # noqa: E402
from cooper_ros.core.errors import CooperError  # noqa: E402
from cooper_ros.training import (  # noqa: E402
    autoencoder,
    engine,
    frames,
    latents,
    photos,
    resident,
    slots,
    stage1,
    stage2,
    stream,
)
from cooper_ros.training.optim import Optimizers  # noqa: E402
from cooper_ros.training.tower import FrozenTower  # noqa: E402

FACTORIES = {
    torch.arange, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones, torch.rand,
    torch.randint, torch.randn, torch.randperm, torch.tensor, torch.zeros,
}  # fmt: skip
HOST, DEVICE = "host", "device"


def is_text(value: object) -> bool:
    return isinstance(value, str)


class Places(TorchFunctionMode):
    """Labels tensors and refuses what a GPU would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[int, str] = {}
        self.moves = 0

    def label(self, tensor: torch.Tensor, place: str) -> None:
        key = id(tensor)
        if key not in self.of:
            weakref.finalize(tensor, self.of.pop, key, None)
        self.of[key] = place

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """What `device.put` does on a GPU."""
        with torch._C.DisableTorchFunction():
            moved = tensor.clone()
        self.label(moved, DEVICE)
        self.moves += 1
        return moved

    def tensors(self, values):
        for v in values:
            if isinstance(v, torch.Tensor):
                yield v
            elif isinstance(v, (list, tuple)):
                yield from self.tensors(v)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = list(self.tensors([*args, *kwargs.values()]))
        # a single number may come from the host
        places = {self.of.get(id(t), DEVICE) for t in given if t.dim() > 0}
        name = getattr(func, "__name__", str(func))
        if name in ("numpy", "__array__"):
            assert places <= {HOST}, f"{name}() of a tensor on the device"
        if func in FACTORIES and "device" not in kwargs:
            assert kwargs.get("generator") is None, f"{name}: a host generator on the device"
        index = name in ("__getitem__", "index_select")  # host indices may choose on the device
        assert len(places) < 2 or index, f"{name} mixes tensors of host and device"
        out = func(*args, **kwargs)
        if func in FACTORIES and kwargs.get("device") == "cpu":
            place = HOST  # by name; `device=x.device` is where x is
        elif name == "cpu" or (name == "to" and "cpu" in list(filter(is_text, args[1:]))):
            place = HOST
        else:
            first = self.of.get(id(given[0]), DEVICE) if given else DEVICE
            place = HOST if places == {HOST} and first == HOST else DEVICE
        for t in self.tensors([out]):
            self.label(t, place)
        return out


@pytest.mark.parametrize("gpu", [False, True], ids=["", "resident"])
@pytest.mark.parametrize("stage", ["autoencoder", "see", "amg", "sft"])
def test_no_step_mixes_host_and_device(
    stage, gpu, shards, photo_folder, tiny_config, tmp_path, monkeypatch
):
    if gpu:  # frames in its memory, as `on_gpu` decides
        for module in (run, stream, latents):
            monkeypatch.setattr(module, "on_gpu", lambda: True)
        monkeypatch.setattr(run, "_writers", lambda *_: None)
    monkeypatch.setattr(run, "load_imagenet_tower", lambda model: "none")
    o = run.TrainOptions(
        stage, str(shards), str(shards), str(tmp_path), config=str(tiny_config),
        sizes=["0:64x48:4"], batch=4, replay=2, photos=str(photo_folder),
        score_frames=2, tune_tower=0.5,
    )  # fmt: skip
    # on a GPU PyTorch runs the frozen convolutions
    monkeypatch.setattr(stage1, "FrozenTower", lambda tower: FrozenTower(tower, engine=False))
    model, tokenizer = run.build(o)
    places = Places()
    for module in (
        device, autoencoder, engine, frames, latents, photos, resident, slots, stage1, stage2
    ):  # fmt: skip
        if hasattr(module, "put"):
            monkeypatch.setattr(module, "put", places.put)
    plain = torch.from_numpy

    def from_numpy(array):
        tensor = plain(array)
        places.label(tensor, HOST)
        return tensor

    monkeypatch.setattr(torch, "from_numpy", from_numpy)  # torch asks no mode about it
    with places:
        made = run.build_stage(o, model, tokenizer, 0, 1)
        optim = Optimizers(model)
        for step in range(2):
            loss, _ = made.loss(step, 0.5, device.host_generator(step))
            loss.backward()
            optim.step(1.0)
        with torch.no_grad():
            made.evaluate()
    assert places.moves > 4


def test_the_label_catches_what_a_gpu_refuses():
    places = Places()
    with places:
        host, there = torch.rand(3, device="cpu"), torch.zeros(3)
        with pytest.raises(AssertionError, match="mixes"):
            host + there
        with pytest.raises(AssertionError, match="numpy"):
            there.numpy()
        with pytest.raises(AssertionError, match="generator"):
            torch.rand(3, generator=device.host_generator(0))
        (places.put(host) + there).sum()


def test_same_numbers_on_every_device():
    a, b = device.host_generator(3), device.host_generator(3)
    assert torch.equal(device.rand(2, 5, g=a), torch.rand(2, 5, generator=b))


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose("auto").type == "cpu"
    with pytest.raises(CooperError, match="sees no CUDA GPU"):
        device.choose("cuda")
    with pytest.raises(CooperError, match="one of auto, cpu, cuda"):
        device.choose("tpu")


def test_several_processes_stay_on_the_host(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose("auto").type == "cuda"
    assert device.choose("auto", processes=2).type == "cpu"
    with pytest.raises(CooperError, match="one process"):
        device.choose("cuda", processes=2)
