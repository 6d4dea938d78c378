"""What works on this machine, and what to do where something does not: everything but ROS.

A check never raises and never changes anything. `cooper doctor` prints them; `ros/doctor.py` has
those that need ROS.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from cooper_ros.core.paths import checkout_directory, find_model_folder, find_shared
from cooper_ros.deploy.targets import NEVER_EXECUTED


class Verdict(Enum):
    """How a check ended; only FAIL makes `cooper doctor` end with 1."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Check:
    """One line of the report: what was looked at, what was found, what to do."""

    area: str
    name: str
    verdict: Verdict
    found: str
    advice: str = ""


# TensorRT versions that are known to compute wrong depth, with where that was seen.
BAD_TENSORRT = {
    "10.3": "computes wrong depth (JetPack 6.2; ros2-depth-anything-v3-trt issue 16, "
    "depth-anything-tensorrt issue 49)",
}
# distribution -> what is missing without it
OPTIONAL = {
    "onnxruntime": "inference on the CPU: pip install 'cooper_ros[ort]'",
    "mujoco": "the simulated camera and `cooper demo`: pip install 'cooper_ros[sim]'",
    "aiohttp": "`cooper view`: pip install 'cooper_ros[view]'",
    "rosbags": "`cooper bag`: pip install 'cooper_ros[bag]'",
    "torch": "training and export (robots do not need it): pip install 'cooper_ros[torch]'",
}
NEEDED = ("numpy", "pillow", "PyYAML", "safetensors", "tokenizers", "tqdm")
MIN_MEMORY_MIB = 1024
"""Free memory under which the node is likely to be killed: cooper-nano needs about 400 MiB."""
MIN_DISK_MIB = 512


def guarded(area: str, checks: Iterable[Callable[[], list[Check]]]) -> list[Check]:
    """Results of all checks; one that breaks is a failed check, not the end."""
    results: list[Check] = []
    for check in checks:
        try:
            results += check()
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            results.append(Check(area, check.__name__.strip("_"), Verdict.FAIL, what))
    return results


def machine_checks() -> list[Check]:
    """Processor, memory, disk, power."""
    return guarded("machine", (_system, _cores, _memory, _disk, _power))


def package_checks() -> list[Check]:
    """Interpreter and Python packages."""
    checks = (_interpreter, _packages, _opencv, _onnxruntime, _tensorrt, _engines)
    return guarded("packages", checks)


def model_checks(model: str, self_test: bool = True) -> list[Check]:
    """The model folder: found, whole, and computing here what it computed where it was made."""

    def folder() -> list[Check]:
        from cooper_ros.runtime.folder import ModelFolder

        path = find_model_folder(model)
        started = time.monotonic()
        ModelFolder.open(path, check="full")
        found = f"{path}: all hashes right ({time.monotonic() - started:.1f} s)"
        results = [Check("model", "folder", Verdict.OK, found)]
        return results + (_self_test(path) if self_test else [])

    return guarded("model", (folder,))


def _self_test(path: Path) -> list[Check]:
    from cooper_ros.runtime.pipeline import CooperPipeline
    from cooper_ros.runtime.selftest import run_selftest

    pipeline: Any = CooperPipeline.open(str(path))
    results = run_selftest(pipeline.folder, pipeline.engine.backend)
    worst = max(results, key=lambda r: r.error / r.allowed)
    found = f"{pipeline.backend_name}: largest relative error {worst.error:.1e}"
    if worst.passed:
        return [Check("model", "self-test", Verdict.OK, found)]
    return [
        Check(
            "model", "self-test", Verdict.FAIL, f"{found} ({worst.graph}, {worst.output})",
            "this inference engine computes wrong results here: use another version or backend",
        )
    ]  # fmt: skip


def _system() -> list[Check]:
    found = f"{platform.system()} {platform.release()}, {platform.machine()}"
    release = Path("/etc/os-release")
    if release.is_file():
        lines = dict(
            line.split("=", 1) for line in release.read_text().splitlines() if "=" in line
        )
        found += ", " + lines.get("PRETTY_NAME", "").strip('"')
    jetson = Path("/etc/nv_tegra_release")
    if jetson.is_file():
        found += ", " + jetson.read_text().splitlines()[0].lstrip("# ")
    return [Check("machine", "system", Verdict.INFO, found)]


def _cores() -> list[Check]:
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    found = f"{cores} for this process, load {load:.1f}"
    if load > cores:
        return [
            Check("machine", "cores", Verdict.WARN, found,
                  "others use the processor: rates and latencies will be worse than alone")
        ]  # fmt: skip
    return [Check("machine", "cores", Verdict.OK, found)]


def _memory() -> list[Check]:
    text = Path("/proc/meminfo").read_text()
    values = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in text.splitlines()}
    free, total = values["MemAvailable"], values["MemTotal"]
    found = f"{free} of {total} MiB available"
    if free < MIN_MEMORY_MIB:
        return [
            Check("machine", "memory", Verdict.WARN, found,
                  f"less than {MIN_MEMORY_MIB} MiB: the node may be killed, end other programs")
        ]  # fmt: skip
    return [Check("machine", "memory", Verdict.OK, found)]


def _disk() -> list[Check]:
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home())
    except RuntimeError:  # no home folder is known
        return [Check("machine", "disk", Verdict.WARN, "HOME is not set",
                      "set HOME or XDG_CACHE_HOME: engines and models are kept there")]  # fmt: skip
    place = next((p for p in (cache, *cache.parents) if p.exists()), Path("/"))
    if not (place.is_dir() and os.access(place, os.W_OK)):
        return [Check("machine", "disk", Verdict.WARN, f"{cache} cannot be written",
                      "set XDG_CACHE_HOME to a folder of this user")]  # fmt: skip
    free = shutil.disk_usage(place).free // 2**20
    verdict = Verdict.OK if free >= MIN_DISK_MIB else Verdict.WARN
    advice = "" if verdict is Verdict.OK else "engines and bags need room: free some"
    return [Check("machine", "disk", verdict, f"{free} MiB free for {place}", advice)]


def _power() -> list[Check]:
    results = []
    if shutil.which("nvpmodel"):
        said = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=10)
        mode = " ".join(said.stdout.split())
        results.append(Check("machine", "power mode", Verdict.INFO, mode or said.stderr.strip(),
                             "sudo nvpmodel -m 0 is the fastest on most boards"))  # fmt: skip
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor.is_file():
        name = governor.read_text().strip()
        slow = name == "powersave"
        results.append(
            Check("machine", "cpu governor", Verdict.WARN if slow else Verdict.OK, name,
                  "the processor stays slow: choose schedutil or performance" if slow else "")
        )  # fmt: skip
    return results


def _interpreter() -> list[Check]:
    version = platform.python_version()
    found = f"{version} at {sys.executable}"
    where = checkout_directory()
    used = f"the checkout {where}" if where else str(Path(__file__).resolve().parents[1])
    return [
        Check("packages", "python", Verdict.OK, found),
        Check("packages", "cooper_ros", Verdict.INFO, f"{_version('cooper_ros') or '?'} in {used}"),
    ]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _packages() -> list[Check]:
    results = []
    for name in NEEDED:
        version = _version(name)
        results.append(
            Check("packages", name, Verdict.OK, version)
            if version
            else Check("packages", name, Verdict.FAIL, "missing", f"pip install {name}")
        )
    for name, use in OPTIONAL.items():
        version = _version(name) or _version(f"{name}-gpu")
        results.append(
            Check("packages", name, Verdict.OK, version)
            if version
            else Check("packages", name, Verdict.INFO, "not installed", f"needed for {use}")
        )
    return results


def _opencv() -> list[Check]:
    """Two OpenCVs overwrite each other's files; OpenCV 5 renumbered what cv_bridge relies on."""
    names = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
    installed = {name: _version(name) for name in names if _version(name)}
    import cv2

    found = f"{cv2.__version__} ({', '.join(installed) or 'from the system'})"
    if len(installed) > 1:
        return [Check("packages", "opencv", Verdict.WARN, found,
                      "they overwrite each other: uninstall all, then install one")]  # fmt: skip
    if int(cv2.__version__.split(".")[0]) >= 5:
        return [Check("packages", "opencv", Verdict.WARN, found,
                      "cv_bridge does not work with OpenCV 5: install version 4")]  # fmt: skip
    return [Check("packages", "opencv", Verdict.OK, found)]


def _onnxruntime() -> list[Check]:
    if importlib.util.find_spec("onnxruntime") is None:
        return [Check("packages", "inference", Verdict.FAIL, "no onnxruntime",
                      "pip install 'cooper_ros[ort]'")]  # fmt: skip
    import onnxruntime

    providers = ", ".join(p.removesuffix("ExecutionProvider")
                          for p in onnxruntime.get_available_providers())  # fmt: skip
    return [Check("packages", "inference", Verdict.OK, f"onnxruntime with {providers}")]


def _engines() -> list[Check]:
    return [Check("packages", "engines", Verdict.INFO, NEVER_EXECUTED,
                  "cooper engine verify runs the graphs on the CPU")]  # fmt: skip


def _tensorrt() -> list[Check]:
    version = _version("tensorrt")
    if not version:
        return [Check("packages", "tensorrt", Verdict.INFO, "not installed",
                      "needed for engines of NVIDIA devices only")]  # fmt: skip
    for bad, why in BAD_TENSORRT.items():
        if version == bad or version.startswith(f"{bad}."):
            return [Check("packages", "tensorrt", Verdict.WARN, version,
                          f"this version {why}; the self-test decides")]  # fmt: skip
    return [Check("packages", "tensorrt", Verdict.OK, version)]


def shared_files() -> list[Check]:
    """Files that are installed with the package."""

    def files() -> list[Check]:
        results = []
        for name in ("config/fastdds_shm.xml", "config/cooper.yaml", "launch/cooper.launch.py"):
            try:
                find_shared(name)
            except FileNotFoundError as error:
                results.append(Check("packages", name, Verdict.WARN, str(error), "install again"))
        return results or [Check("packages", "shared files", Verdict.OK, "all there")]

    return guarded("packages", (files,))
