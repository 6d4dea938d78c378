"""Which renderer draws: what is there is found, $MUJOCO_GL wins, and what lacks is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mujoco")

from cooper_ros.sim import opengl

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = {"osmesa": "OSMesa", "egl": "EGL"}
DRAW = """
import numpy as np
from cooper_ros.core.errors import CooperError
from cooper_ros.sim.stream import SimCamera
try:
    with SimCamera(seed=1, width=64, height=48) as camera:
        frame = camera.step()
    print(np.std(frame.rgb) > 5.0 and frame.depth.max() > 1.0)
except CooperError as error:
    print(error)
"""


def draw(hidden: tuple[str, ...], **variables: str) -> str:
    """What a fresh process says that draws while these renderers' libraries are hidden."""
    free = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    path = os.pathsep.join([str(Path(__file__).parent / "hiding"), str(ROOT)])
    names = " ".join(LIBRARY[name] for name in hidden)
    run = subprocess.run(
        [sys.executable, "-c", DRAW], capture_output=True, text=True, timeout=120, cwd=ROOT,
        env={**free, "PYTHONPATH": path, "HIDDEN_LIBRARIES": names, **variables},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize("name", opengl.CHOICES)
def test_either_renderer_draws_alone(name: str) -> None:
    """Where only one is installed, the other's turn is to be missed by its name."""
    others = tuple(other for other in opengl.CHOICES if other != name)
    said = draw(others)
    if opengl.problem(name):
        assert "no OpenGL" in said and opengl.PACKAGES[name] in said
    else:
        assert said == "True"


def test_without_any_the_packages_are_named() -> None:
    said = draw(opengl.CHOICES)
    assert "libOSMesa.so is not installed" in said and "libEGL.so is not installed" in said
    assert all(package in said for package in opengl.PACKAGES.values())


@pytest.mark.parametrize("name", opengl.CHOICES)
def test_mujoco_gl_that_is_not_there_is_refused_with_the_way_out(name: str) -> None:
    said = draw((name,), MUJOCO_GL=name)
    assert f"MUJOCO_GL={name} cannot draw" in said and opengl.PACKAGES[name] in said
    others = [n for n in opengl.CHOICES if n != name and not opengl.problem(n)]
    assert ("unset MUJOCO_GL" in said) == bool(others)


def test_the_order_and_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: dict[str, str] = {}
    monkeypatch.setattr(opengl, "problem", lambda name: broken.get(name, ""))
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    assert opengl.choose() == "osmesa"
    broken["osmesa"] = "it makes no context"
    assert opengl.choose() == "egl"
    monkeypatch.setenv("PYOPENGL_PLATFORM", "osmesa")
    with pytest.raises(opengl.NoRendererError, match="it makes no context"):
        opengl.choose()
    broken.clear()
    monkeypatch.delenv("PYOPENGL_PLATFORM")
    for name in ("EGL", "glfw", "osmesa"):
        monkeypatch.setenv("MUJOCO_GL", name)
        assert opengl.choose() == name.lower()
    monkeypatch.setenv("MUJOCO_GL", "mesa")
    with pytest.raises(opengl.NoRendererError, match="choose one of osmesa, egl, glfw"):
        opengl.choose()


def test_setup_can_ask_with_a_bare_python() -> None:
    file = ROOT / "cooper_ros/sim/opengl.py"
    run = subprocess.run(
        [os.path.realpath(sys.executable), "-S", "-E", file], capture_output=True, text=True
    )
    works = [name for name in opengl.CHOICES if not opengl.problem(name)]
    if os.environ.get("MUJOCO_GL", "") in ("", *works) and works:
        assert run.returncode == 0 and run.stdout.strip() in works
    else:
        assert run.returncode == 1 and run.stdout.splitlines()


def test_doctor_says_what_draws_or_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from cooper_ros.cli.doctor import _renderer

    monkeypatch.setattr(opengl, "choose", lambda: "egl")
    assert _renderer()[0].verdict.value == "ok" and "egl" in _renderer()[0].found

    def nothing() -> str:
        raise opengl.NoRendererError("apt install libosmesa6")

    monkeypatch.setattr(opengl, "choose", nothing)
    assert _renderer()[0].verdict.value == "warn" and "libosmesa6" in _renderer()[0].advice
