"""The set-up script names the system packages that are missing, and installs them only as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The PATH of a machine without compiler and renderer, used by somebody who is not root."""
    for tool in ("bash", "grep", "env", "cat", "mktemp", "tail", "rm"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    stub(tmp_path, "id", "echo 1000")
    stub(tmp_path, "ldconfig", "echo libc.so.6")
    stub(tmp_path, "apt-cache", "echo libosmesa6 - off-screen")
    stub(tmp_path, "apt-get", f'echo "$@" >>{tmp_path}/installed')
    return tmp_path


def stub(path: Path, name: str, body: str) -> None:
    """A command of that name that does no more than `body`."""
    (path / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
    (path / name).chmod(0o755)


def check(
    machine: Path, script: str = "system_packages.sh"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools" / script],
        env={"PATH": str(machine), "PYTHON": os.path.realpath(sys.executable)},
        capture_output=True, text=True, timeout=60,
    )


def test_without_root_it_prints_the_one_line_to_run(machine: Path) -> None:
    run = check(machine)
    assert run.returncode == 1
    assert "apt-get install -y --no-install-recommends g++ libosmesa6" in run.stderr
    assert not (machine / "installed").exists()


def test_as_root_it_installs_what_is_missing(machine: Path) -> None:
    stub(machine, "id", "echo 0")
    run = check(machine)
    assert run.returncode == 0, run.stderr
    update, install = (machine / "installed").read_text().splitlines()
    assert update == "update"
    assert install.endswith("g++ libosmesa6")


def test_a_release_without_osmesa_gets_egl(machine: Path) -> None:
    stub(machine, "apt-cache", "true")
    assert "libegl1 libegl-mesa0 libgl1-mesa-dri" in check(machine).stderr


@pytest.mark.parametrize("libraries", ["libOSMesa.so.8", "libEGL.so.1\nlibEGL_mesa.so.0"])
def test_nothing_is_said_when_nothing_is_missing(machine: Path, libraries: str) -> None:
    stub(machine, "g++", "true")
    stub(machine, "ldconfig", f"printf '{libraries}\\n'")
    run = check(machine)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_an_old_python_is_refused(machine: Path) -> None:
    stub(machine, "old-python", '[[ "$1" == --version ]] && echo Python 3.8.10; exit 1')
    run = subprocess.run(
        [ROOT / "tools/system_packages.sh"],
        env={"PATH": str(machine), "PYTHON": "old-python"}, capture_output=True, text=True,
    )
    assert run.returncode == 1
    assert "Python 3.8.10 is too old: 3.10 or newer is needed" in run.stderr


def test_a_browser_is_installed_as_root_where_none_is(machine: Path) -> None:
    assert "will be skipped" in check(machine, "browser.sh").stderr
    assert not (machine / "installed").exists()
    stub(machine, "id", "echo 0")
    assert check(machine, "browser.sh").returncode == 0
    assert (machine / "installed").read_text().splitlines()[1].endswith(" chromium")
    stub(machine, "apt-get", "echo no network; exit 1")
    failed = check(machine, "browser.sh")
    assert failed.returncode == 0 and "no network" in failed.stderr
    stub(machine, "chromium", "true")
    there = check(machine, "browser.sh")
    assert (there.returncode, there.stdout, there.stderr) == (0, "", "")
