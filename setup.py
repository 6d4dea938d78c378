"""What pyproject.toml cannot say: compiled ROS interfaces and the data in share/cooper_ros.

`pip install` runs the package's own CMakeLists.txt and puts the result where
`colcon build --merge-install` would put it:

    <prefix>/lib/libcooper_ros__*.so, <prefix>/lib/cooper_ros/<executables>
    <prefix>/share/cooper_ros/**, <prefix>/share/ament_index/**
    <site-packages>/cooper_ros/{msg,srv,*.so}

ROS is looked for in AMENT_PREFIX_PATH (a sourced ROS), in pip's build environment and in this
environment. COOPER_ROS_INTERFACES says what happens without it: `auto` (default) installs
without messages and warns, `require` fails, `skip` never builds them.
colcon does not read this file.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Distribution, find_packages, setup  # before distutils, which it provides
from setuptools.command.build_ext import build_ext

from distutils.command.install_data import install_data  # isort: skip

HERE = Path(__file__).parent.resolve()
NAME = "cooper_ros"
SHARED_FOLDERS = ("assets", "config", "engines", "launch")  # as in CMakeLists.txt
NOT_INSTALLED = (".pyc", ".engine", ".plan")

# Outside the checkout: a build/ folder there would keep modules that were deleted since, and
# colcon would pick up what lies in it.
SCRATCH = Path(tempfile.mkdtemp(prefix="cooper_ros_build_"))
atexit.register(shutil.rmtree, SCRATCH, True)


def ros_prefixes() -> list[str]:
    """Install prefixes with a ROS resource index, the most specific one first."""
    candidates = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    # pip's isolated build environment is <prefix>/lib/pythonX.Y/site-packages on sys.path
    candidates += [
        str(Path(entry).parents[2])
        for entry in sys.path
        if entry.endswith("site-packages") and len(Path(entry).parts) > 4
    ]
    candidates.append(sys.prefix)
    with_index = [p for p in candidates if p and Path(p, "share/ament_index").is_dir()]
    return list(dict.fromkeys(with_index))


def files_below(root: Path, target: Path) -> list[tuple[str, list[str]]]:
    """`data_files` entries that copy the tree `root` to `target` below the prefix."""
    entries = []
    for folder, _, names in os.walk(root):
        if Path(folder).name == "__pycache__":
            continue
        files = [str(Path(folder, name)) for name in names if not name.endswith(NOT_INSTALLED)]
        if files:
            entries.append((str(target / Path(folder).relative_to(root)), sorted(files)))
    return entries


def shared_data() -> list[tuple[str, list[str]]]:
    """`data_files` entries of share/cooper_ros. Sources are relative, as wheels demand."""
    entries = []
    for folder in SHARED_FOLDERS:
        entries += files_below(Path(folder), Path("share", NAME, folder))
    return entries


class BuildInterfaces(build_ext):
    """Runs CMake and adds what it installed to the wheel."""

    def run(self) -> None:
        mode = os.environ.get("COOPER_ROS_INTERFACES", "auto")
        if mode not in ("auto", "require", "skip"):
            raise SystemExit(f"COOPER_ROS_INTERFACES is {mode!r}: use auto, require or skip")
        if mode == "skip":
            return
        prefixes = ros_prefixes()
        if any(Path(p, "share/rosidl_default_generators").is_dir() for p in prefixes):
            self._add(self._run_cmake(prefixes))
        elif mode == "require":
            raise SystemExit(
                f"no rosidl_default_generators in {prefixes}: source a ROS 2 Jazzy, or install on "
                "x86_64 Linux, where pip brings it"
            )
        else:
            print(f"{NAME}: WARNING: no rosidl found, installing WITHOUT {NAME}.msg and .srv",
                  file=sys.stderr)

    def _run_cmake(self, prefixes: list[str]) -> Path:
        def joined(name: str, paths: list[str]) -> str:
            return os.pathsep.join([*paths, os.environ.get(name, "")]).strip(os.pathsep)

        build, install = SCRATCH / "cmake", SCRATCH / "install"
        # PYTHONPATH stays as pip set it: its build environment works through it
        environment = dict(
            os.environ,
            AMENT_PREFIX_PATH=os.pathsep.join(prefixes),
            CMAKE_PREFIX_PATH=joined("CMAKE_PREFIX_PATH", prefixes),
            LD_LIBRARY_PATH=joined("LD_LIBRARY_PATH", [f"{p}/lib" for p in prefixes]),
        )
        cmake = shutil.which("cmake")
        if cmake is None:
            raise SystemExit("cmake not found: install it, or let pip build in isolation")
        in_venv = sys.prefix != sys.base_prefix
        subprocess.check_call(
            [
                cmake, "-S", str(HERE), "-B", str(build),
                *(["-G", "Ninja"] if shutil.which("ninja") else []),
                f"-DCMAKE_INSTALL_PREFIX={install}",
                "-DCMAKE_BUILD_TYPE=Release",
                "-DBUILD_TESTING=OFF",
                f"-DPython3_EXECUTABLE={sys.executable}",
                f"-DPython3_FIND_VIRTUALENV={'ONLY' if in_venv else 'STANDARD'}",
                "-DPYTHON_INSTALL_DIR=python",
                "-DCOOPER_ROS_INTERFACES_ONLY=ON",
            ],
            env=environment,
        )
        jobs = str(os.cpu_count() or 2)
        subprocess.check_call(
            [cmake, "--build", str(build), "--target", "install", "--parallel", jobs],
            env=environment,
        )
        return install

    def _add(self, install: Path) -> None:
        generated = install / "python" / NAME
        for cache in generated.rglob("__pycache__"):
            shutil.rmtree(cache)
        for source in generated.rglob("*.c"):
            source.unlink()
        (generated / "__init__.py").unlink()  # ours is the real one
        data = self.distribution.compiled_data
        if self.inplace:
            # `pip install -e`: not into the checkout, where colcon would install stale binaries
            # from, but into site-packages/cooper_ros; extend_path() joins the two.
            site = Path(sysconfig.get_path("platlib")).relative_to(sysconfig.get_path("data"))
            data += files_below(generated, site / NAME)
        else:
            shutil.copytree(generated, Path(self.build_lib, NAME), dirs_exist_ok=True)
        data += files_below(install / "lib", Path("lib"))
        data += files_below(install / "share", Path("share"))

    def build_extensions(self) -> None:
        """Nothing: CMake has built everything."""

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class InstallData(install_data):
    """Installs the compiled files beside `data_files`, which may hold no absolute paths."""

    def run(self) -> None:
        self.data_files = [*self.distribution.data_files, *self.distribution.compiled_data]
        super().run()


class BinaryDistribution(Distribution):
    """A distribution for one platform although setuptools itself compiles nothing."""

    def __init__(self, attrs: dict | None = None) -> None:
        self.compiled_data: list[tuple[str, list[str]]] = []
        super().__init__(attrs)

    def has_ext_modules(self) -> bool:
        return True  # a platform wheel, and `build` runs build_ext

    def has_data(self) -> bool:
        # setuptools' editable install asks for has_data(), which Distribution lacks, and then
        # leaves data_files out without a word.
        return bool(self.data_files)


setup(
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_dir={"": "."},  # makes `pip install -e` use a plain .pth file: extend_path needs it
    package_data={
        NAME: ["_exe_wrapper.in", "py.typed", "evaluation/data/*.npz", "ros/view/page/*"]
    },
    data_files=shared_data(),
    cmdclass={"build_ext": BuildInterfaces, "install_data": InstallData},
    distclass=BinaryDistribution,
    options={"build": {"build_base": str(SCRATCH / "build")}},
)
