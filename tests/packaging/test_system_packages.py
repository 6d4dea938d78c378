"""The set-up script names the system packages that are missing, and installs them only as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTHING = "echo nothing draws >&2; echo libosmesa6; echo libegl1 libegl-mesa0; exit 1"
"""What `cooper_ros/sim/opengl.py` says where there is no OpenGL."""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The PATH of a machine without compiler and renderer, used by somebody who is not root."""
    for tool in ("bash", "dirname", "env", "cat", "mktemp", "tail", "rm"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    stub(tmp_path, "id", "echo 1000")
    draws(tmp_path, NOTHING)
    stub(tmp_path, "apt-cache", "echo libosmesa6 - off-screen")
    stub(tmp_path, "apt-get", f'echo "$@" >>{tmp_path}/installed')
    return tmp_path


def stub(path: Path, name: str, body: str) -> None:
    """A command of that name that does no more than `body`."""
    (path / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
    (path / name).chmod(0o755)


def draws(path: Path, answer: str) -> None:
    """A Python whose OpenGL is as `answer` says; all else is the true Python's."""
    python = os.path.realpath(sys.executable)
    stub(path, "the-python", f'[[ "$1" == */opengl.py ]] && {{ {answer}; }}\nexec {python} "$@"')


def check(
    machine: Path, script: str = "system_packages.sh"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools" / script],
        env={"PATH": str(machine), "PYTHON": str(machine / "the-python")},
        capture_output=True, text=True, timeout=60,
    )


def test_without_root_it_prints_the_one_line_to_run(machine: Path) -> None:
    run = check(machine)
    assert run.returncode == 1
    assert "apt-get install -y --no-install-recommends g++ libosmesa6" in run.stderr
    assert not (machine / "installed").exists()


def test_as_root_it_installs_what_is_missing(machine: Path) -> None:
    stub(machine, "id", "echo 0")
    draws(machine, f"[[ -e {machine}/installed ]] && exit 0; {NOTHING}")
    run = check(machine)
    assert run.returncode == 0, run.stderr
    update, install = (machine / "installed").read_text().splitlines()
    assert update == "update"
    assert install.endswith("g++ libosmesa6")


def test_what_was_installed_and_does_not_help_is_no_success(machine: Path) -> None:
    stub(machine, "id", "echo 0")
    run = check(machine)
    assert run.returncode == 1
    assert "nothing draws" in run.stderr and "still" in run.stderr


@pytest.mark.parametrize("search", ["true", '[[ "$3" == ^libegl1$ ]] && echo libegl1'])
def test_a_release_without_osmesa_gets_egl(machine: Path, search: str) -> None:
    stub(machine, "apt-cache", search)
    assert "g++ libegl1 libegl-mesa0\n" in check(machine).stderr


def test_nothing_is_said_when_nothing_is_missing(machine: Path) -> None:
    stub(machine, "g++", "true")
    draws(machine, "echo egl; exit 0")
    run = check(machine)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_renderer_that_does_not_exist_is_named(machine: Path) -> None:
    draws(machine, "echo MUJOCO_GL=mesa: choose one of these >&2; exit 1")
    run = check(machine)
    assert run.returncode == 1 and run.stderr == "MUJOCO_GL=mesa: choose one of these\n"


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
