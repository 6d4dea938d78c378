"""The arrows of the architecture hold, and robots need no torch."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TORCH_FREE = ("core", "reasoning", "runtime", "deploy", "ros")


def test_import_contracts() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_the_contract_notices_a_wrong_import(tmp_path: Path) -> None:
    """The configuration is not empty talk: a torch import in core breaks it."""
    package = tmp_path / "cooper_ros"
    for source in (ROOT / "cooper_ros").rglob("*.py"):
        copy = package / source.relative_to(ROOT / "cooper_ros")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.read_text())
    (package / "core" / "geometry.py").write_text("import torch\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from importlinter.cli import lint_imports;"
        "sys.exit(lint_imports(no_cache=True))"
    )
    lint = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )
    assert lint.returncode == 1, lint.stdout + lint.stderr
    assert "cooper_ros.core.geometry -> torch" in lint.stdout


@pytest.mark.parametrize("part", TORCH_FREE)
def test_every_module_loads_without_torch(part: str) -> None:
    """Blocked rather than absent: the test environment has torch, a robot has not."""
    folder = ROOT / "cooper_ros" / part
    modules = [f"cooper_ros.{part}"] + [
        module.name for module in pkgutil.walk_packages([str(folder)], f"cooper_ros.{part}.")
    ]
    program = textwrap.dedent(f"""
        import importlib, sys
        for blocked in ("torch", "transformers", "diffusers"):
            sys.modules[blocked] = None
        for name in {modules!r}:
            importlib.import_module(name)
        assert not [m for m in sys.modules if m.startswith("cooper_ros.model")]
    """)
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr


def test_the_node_loads_no_simulator() -> None:
    program = (
        "import sys, cooper_ros.ros.node;"
        "found = [m for m in sys.modules if m.startswith(('cooper_ros.sim', 'mujoco'))];"
        "sys.exit(', '.join(found) or 0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr


def test_importing_the_package_imports_nothing_else() -> None:
    program = (
        "import sys; before = set(sys.modules); import cooper_ros;"
        "heavy = {'numpy', 'rclpy', 'torch', 'cv2'} & (set(sys.modules) - before);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
