"""What the process environment must say before rclpy starts.

Defaults only: a value that the user has set is never changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from cooper_ros.core.paths import find_shared

PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
PROFILE_VARIABLES = (PROFILE_VARIABLE, "FASTDDS_DEFAULT_PROFILES_FILE")
"""Of Fast DDS 2 (Jazzy) and of Fast DDS 3 (Kilted)."""
PROFILE_FILE = "config/fastdds_shm.xml"


def set_defaults(environment: MutableMapping[str, str] = os.environ) -> None:
    """Fill in what our executables need; call it before rclpy.init().

    * Fast DDS profile: the default shared-memory segment (512 KiB) is smaller than one VGA image.
      Images are then cut into fragments, and a best-effort reader loses two thirds of them. The
      profile gives 32 MiB. Both sides of a topic need it, so the cameras should have it too; see
      the launch files.
    * Resource index: ROS wheels in a virtual environment set no AMENT_PREFIX_PATH, and asking the
      index for the share directory would fail.
    * One OpenMP thread for numpy's and OpenCV's small work, and sleeping instead of spinning while
      it waits: the cores belong to the inference engine and to the camera.
    """
    if not any(variable in environment for variable in PROFILE_VARIABLES):
        try:
            profile = str(find_shared(PROFILE_FILE))
            environment.update(dict.fromkeys(PROFILE_VARIABLES, profile))
        except FileNotFoundError:
            pass  # images still arrive, some of them late or not at all
    if (Path(sys.prefix) / "share" / "ament_index").is_dir():
        environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setdefault(variable, "1")
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
