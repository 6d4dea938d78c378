"""Both doors lead to a working installation: `pip install` and `colcon build`.

Each makes an environment from nothing, which takes minutes: marked long.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.long

USE = """
import sys
from pathlib import Path
import cooper_ros
from cooper_ros.core.paths import find_shared
from cooper_ros.msg import SpatialAnswer
from cooper_ros.srv import AskSpatial
from rclpy.serialization import deserialize_message, serialize_message
answer = AskSpatial.Response(success=True, answer=SpatialAnswer(text="1.42 m", value=1.42))
assert deserialize_message(serialize_message(answer), AskSpatial.Response) == answer
prefix = Path(sys.argv[1])
assert prefix in Path(cooper_ros.__file__).parents, cooper_ros.__file__
assert prefix in find_shared("config/fastdds_shm.xml").parents
page = Path(cooper_ros.__file__).parent / "ros" / "view" / "page"
assert {file.name for file in page.iterdir()} == {"index.html", "view.css", "view.js"}
"""


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what ties it to its own installation."""
    # ROS wheels restart Python with these two; a child of another environment would load our
    # libraries instead of its own
    dropped = {"LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE", "PYTHONPATH",
               "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "VIRTUAL_ENV"}
    return {k: v for k, v in os.environ.items() if k not in dropped} | changes


def run(*command: object, **options: object) -> str:
    """Output of a command that must succeed."""
    options.setdefault("env", environment())
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **options
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    return result.stdout


def new_venv(path: Path) -> Path:
    """A virtual environment made by the Python below this one."""
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    run(base, "-m", "venv", path)
    return path


def pip_install(venv: Path, *arguments: object) -> None:
    run(venv / "bin/python", "-m", "pip", "install", "--quiet",
        "--constraint", ROOT / "tools/constraints.txt", *arguments)


def sources(target: Path) -> Path:
    """A copy of what is under version control or could be: no builds, no caches."""
    ignore = shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "__pycache__", "build", "runs")
    return Path(shutil.copytree(ROOT, target, ignore=ignore))


def test_pip_install(tmp_path: Path) -> None:
    venv = new_venv(tmp_path / "venv")
    checkout = sources(tmp_path / "checkout")
    before = {p.relative_to(checkout) for p in checkout.rglob("*")}
    pip_install(venv, f"{checkout}[ros,ort]")
    left = {p.relative_to(checkout).parts[0] for p in checkout.rglob("*")
            if p.relative_to(checkout) not in before}
    assert left <= {"cooper_ros.egg-info"}, "the build leaves things in the checkout"
    run(venv / "bin/python", "-c", USE, venv, cwd=tmp_path)
    assert "cooper ask" in run(venv / "bin/cooper", "ask", "--help", cwd=tmp_path)
    assert not list(venv.glob("lib/python3*/site-packages/torch"))
    for folder in ("config", "engines", "launch"):
        shipped = [p for p in (checkout / folder).rglob("*") if p.is_file()]
        for source in shipped:
            assert (venv / "share/cooper_ros" / source.relative_to(checkout)).exists(), source
    run(venv / "bin/python", "-m", "pip", "uninstall", "--yes", "cooper_ros")
    assert [p for p in venv.rglob("*cooper_ros*") if p.is_file()] == []


@pytest.mark.parametrize("symlink", [False, True], ids=["copied", "symlinked"])
def test_colcon_build(tmp_path: Path, symlink: bool) -> None:
    venv = new_venv(tmp_path / "venv")
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        from pip._vendor import tomli as tomllib
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pip_install(
        venv, "colcon-common-extensions==0.3.0", *project["build-system"]["requires"],
        *project["project"]["dependencies"], *project["project"]["optional-dependencies"]["ros"],
    )
    workspace = tmp_path / "workspace"
    sources(workspace / "src/cooper_ros")
    ros = environment(
        AMENT_PREFIX_PATH=str(venv), CMAKE_PREFIX_PATH=str(venv),
        PATH=f"{venv / 'bin'}:{os.environ['PATH']}",
    )
    listed = run(venv / "bin/colcon", "list", cwd=workspace, env=ros)
    assert listed.split() == ["cooper_ros", "src/cooper_ros", "(ros.ament_cmake)"]
    run(
        venv / "bin/colcon", "build", *(["--symlink-install"] if symlink else []),
        "--cmake-args", f"-DPython3_EXECUTABLE={venv / 'bin/python'}", "-G", "Ninja",
        cwd=workspace, env=ros,
    )
    installed = workspace / "install/cooper_ros"
    sourced = ["bash", "-c", 'source install/setup.bash && exec "$@"', "bash"]
    run(*sourced, "python", "-c", USE, workspace if symlink else installed, cwd=workspace, env=ros)
    for name in ("cooper_bag", "cooper_node", "cooper_sim_camera", "cooper_view"):
        assert os.access(installed / "lib/cooper_ros" / name, os.X_OK), name
    assert (installed / "share/cooper_ros/package.xml").is_file()
    version = run(*sourced, "cooper", "--version", cwd=workspace, env=ros)
    assert version.startswith("cooper_ros ")
