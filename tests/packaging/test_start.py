"""A missing Python package is one line with what to type; the shell completes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cooper_ros.cli import SUBCOMMANDS
from cooper_ros.start import BEYOND_ROSDEP, PROGRAMS, advice

ROOT = Path(__file__).parents[2]
BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tokenizers":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def test_the_lists_of_programs_agree() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text()
    assert dict(re.findall(r"^  (cooper\w*)=([\w.]+)\)?$", cmake, re.MULTILINE)) == PROGRAMS
    scripts = (ROOT / "pyproject.toml").read_text()
    named = set(re.findall(r"^(cooper\w*) = \"cooper_ros", scripts, re.MULTILINE))
    assert named == set(PROGRAMS)


def test_the_line_of_the_page_is_the_one_that_is_printed() -> None:
    page = (ROOT / "docs/install.md").read_text()
    assert f"pip install {' '.join(BEYOND_ROSDEP)}" in page
    known = (ROOT / "package.xml").read_text()
    assert not re.search(r"depend>[^<]*(safetensors|tokenizers)", known)


@pytest.mark.parametrize("start", [["-m", "cooper_ros.start", "cooper_ros.ros.node"],
                                   ["-m", "cooper_ros.cli", "ask", "a.jpg", "how far is it?"]],
                         ids=["node", "cli"])  # fmt: skip
def test_a_missing_package_is_one_line(start: list[str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop("COOPER_DEBUG", None)
    run = subprocess.run(
        [sys.executable, *start], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr and "'tokenizers'" in run.stderr
    assert advice("tokenizers") in run.stderr and len(run.stderr.strip().splitlines()) == 1


def test_advice_knows_ros() -> None:
    assert "source your ROS 2" in advice("rclpy") and "install.md" in advice("mujoco")


def completions(line: str) -> list[str]:
    environment = {
        **os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9", "_ARGCOMPLETE_IFS": "\n",
    }  # fmt: skip
    # argcomplete answers on file descriptor 8 and complains on 9
    program = "import os; os.dup2(1, 8); os.dup2(2, 9); from cooper_ros.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    return [word.strip() for word in run.stdout.split("\n")]


def test_the_shell_completes_commands_and_their_options() -> None:
    pytest.importorskip("argcomplete")
    assert set(SUBCOMMANDS) <= set(completions("cooper "))
    assert "--seed" in completions("cooper demo --s")
    assert "--muon-lr" not in completions("cooper demo --m")
