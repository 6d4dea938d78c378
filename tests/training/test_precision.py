"""The number format is what the machine computes faster."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

from cooper_ros.core.errors import CooperError  # noqa: E402
from cooper_ros.training import precision  # noqa: E402
from cooper_ros.training.optim import orthogonalise  # noqa: E402
from cooper_ros.training.precision import NumberFormats, autocast, formats, measure  # noqa: E402


@pytest.fixture(autouse=True)
def as_before():
    before = precision.present()
    yield
    precision.use(before)


@pytest.mark.parametrize(("passes", "muon"), [(3.0, 0.1), (0.1, 3.0), (1.05, 1.05)])
def test_the_faster_format_is_taken_for_each_use(monkeypatch, passes, muon):
    """Given are how many times faster bfloat16 is."""
    times = iter([passes, 1.0, muon, 1.0])  # float32 first
    monkeypatch.setattr(precision, "_fastest", lambda work: next(times))
    found = measure()
    assert (found.passes == torch.bfloat16) == (passes > 1.1)
    assert (found.muon == torch.bfloat16) == (muon > 1.1)
    assert f"passes x{passes:.2f}, Muon x{muon:.2f}" in str(found)
    assert formats(precision.named(found)) == NumberFormats(found.passes, found.muon)


def test_it_is_really_measured():
    assert {use: ratio > 0 for use, ratio in measure().measured} == {"passes": True, "Muon": True}


def test_an_unknown_format_is_named():
    with pytest.raises(CooperError, match="--numbers float8: auto, bfloat16 or float32"):
        formats("float8")


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_passes_and_muon_compute_in_it(name):
    precision.use(formats(name))
    with autocast():
        y = torch.nn.Linear(4, 4)(torch.ones(2, 4))
    assert y.dtype == precision.FORMATS[name]
    g = torch.Generator().manual_seed(0)
    found = orthogonalise(torch.randn(6, 6, generator=g))
    exact = name == "float32"
    assert bool((found.bfloat16().float() == found).all()) != exact
