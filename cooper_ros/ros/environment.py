"""What the process environment must say before rclpy starts.

Defaults only: a value that the user has set is never changed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import RosError
from cooper_ros.core.paths import find_shared

PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
PROFILE_VARIABLES = (PROFILE_VARIABLE, "FASTDDS_DEFAULT_PROFILES_FILE")
"""Of Fast DDS 2 (Jazzy) and of Fast DDS 3 (Kilted)."""
PROFILE_FILE = "config/fastdds_shm.xml"
QOS_VARIABLE = "RMW_FASTRTPS_USE_QOS_FROM_XML"
LOG_VARIABLE = "ROS_LOG_DIR"


def set_defaults(environment: MutableMapping[str, str] = os.environ) -> None:
    """Fill in what our executables need; call it before rclpy.init().

    * Fast DDS profile: the default shared-memory segment (512 KiB) is smaller than one VGA image.
      Images are then cut into fragments, and a best-effort reader loses two thirds of them. The
      profile gives 32 MiB. Both sides of a topic need it, so the cameras should have it too; see
      the launch files. It also gives back the memory of a message that was read: by default, a
      queue of 256 questions keeps the room of the largest 256 images that came with them.
    * Resource index: ROS wheels in a virtual environment set no AMENT_PREFIX_PATH, and asking the
      index for the share directory would fail.
    * One OpenMP thread for numpy's and OpenCV's small work, and sleeping instead of spinning while
      it waits: the cores belong to the inference engine and to the camera.
    * ROS does not start where it cannot write its log. Without a home that can be written, the log
      goes to a temporary folder.
    """
    _settle_log(environment)
    if not any(variable in environment for variable in PROFILE_VARIABLES):
        try:
            profile = str(find_shared(PROFILE_FILE))
            environment.update(dict.fromkeys(PROFILE_VARIABLES, profile))
        except FileNotFoundError:
            pass  # images still arrive, some of them late or not at all
    if any(environment.get(v, "").endswith(PROFILE_FILE) for v in PROFILE_VARIABLES):
        environment.setdefault(QOS_VARIABLE, "1")  # a profile of others says nothing of memory
    if (Path(sys.prefix) / "share" / "ament_index").is_dir():
        environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setdefault(variable, "1")
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def start_ros(args: Sequence[str] | None = None, **options: Any) -> None:
    """`rclpy.init` with our defaults; `args` as there (None: those of the command line).

    Raises RosError with a sentence for people: wrong ROS arguments, a log that cannot be written.
    """
    import rclpy

    set_defaults()
    try:
        rclpy.init(args=None if args is None else list(args), **options)
    except Exception as error:  # bad --ros-args, domain or middleware: rclpy's kinds are private
        raise RosError(log_problem() or str(error)) from error


def _settle_log(environment: MutableMapping[str, str]) -> None:
    problem = "" if environment.get(LOG_VARIABLE) else log_problem(environment)
    if not problem:
        return
    try:
        environment[LOG_VARIABLE] = f"{tempfile.gettempdir()}/ros_log_{os.getuid()}"
    except FileNotFoundError:  # nothing at all can be written: whoever starts ROS says so
        return
    print(f"{problem}; until then it is {environment[LOG_VARIABLE]}", file=sys.stderr)


def log_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where ROS writes its log, by its own rule."""
    if environment.get(LOG_VARIABLE):
        return Path(environment[LOG_VARIABLE])
    if environment.get("ROS_HOME"):
        return Path(environment["ROS_HOME"]) / "log"
    if not environment.get("HOME"):
        raise FileNotFoundError("HOME is not set")
    return Path(environment["HOME"]) / ".ros" / "log"


def log_problem(environment: Mapping[str, str] = os.environ) -> str:
    """Why ROS cannot write its log, with the variable to set, for people; "" if it can."""
    try:
        folder = log_folder(environment)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except FileNotFoundError as error:
        reason = str(error) if error.errno is None else f"{error.filename} cannot be made"
    except OSError as error:
        reason = f"{folder} cannot be written ({error.strerror})"
    return f"ROS has no folder for its log: {reason}; set {LOG_VARIABLE} to a folder of this user"
