"""Memory of the node process with a camera of eight megapixels: bounded, flat, given back."""

from __future__ import annotations

from pathlib import Path

import pytest
from builtin_interfaces.msg import Duration
from harness import Bench, Process, picture, room_image
from sensor_msgs.msg import Image

from cooper_ros.core.types import Intrinsics
from cooper_ros.msg import DepthInfo
from cooper_ros.ros.conversion import array_to_image, intrinsics_to_camera_info
from cooper_ros.ros.qos import StandardTopicQoS
from cooper_ros.srv import AskSpatial

MOST_MIB = 600
"""With questions about more images than are kept. A node of before took 1600."""
DRIFT_MIB, LEFT_MIB = 40, 110
"""More of the same may cost no more; afterwards buffers of the middleware remain."""


def memory_mib(process: Process, what: str) -> int:
    lines = Path(f"/proc/{process.popen.pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(what + ":"))


@pytest.mark.long
def test_memory_with_a_4k_camera_stays_flat_and_comes_back(
    bench: Bench, tmp_path: Path
) -> None:
    process = Process("cooper_ros.ros.node", log=tmp_path / "node.log")
    try:
        infos = bench.listen(DepthInfo, "cooper/depth/info", StandardTopicQoS())
        ask = bench.node.create_client(AskSpatial, "cooper/ask")

        def look(image: Image, width: int, height: int, frames: int) -> None:
            bench.show(image, intrinsics_to_camera_info(Intrinsics.from_fov(70.0, width, height)))
            start = len(infos)
            bench.wait(lambda: len(infos) >= start + frames, process)

        def ask_about(image: Image, width: int, height: int) -> int:
            """Memory after a question about a new image."""
            look(image, width, height, 1)
            bench.call(ask, question, process)
            return memory_mib(process, "VmRSS")

        look(room_image(), 320, 240, 3)
        before = memory_mib(process, "VmRSS")
        large = array_to_image(picture(3840, 2160), "rgb8")
        question = AskSpatial.Request(question="is there a chair ?", timeout=Duration(sec=100))
        first = max(ask_about(large, 3840, 2160) for _ in range(8))
        second = max(ask_about(large, 3840, 2160) for _ in range(8))
        assert second <= first + DRIFT_MIB
        assert memory_mib(process, "VmHWM") <= MOST_MIB
        for _ in range(6):  # those that are kept for more questions are small ones now
            ask_about(room_image(), 320, 240)
        look(large, 3840, 2160, 1)  # what large frames left is returned with the next of them
        look(room_image(), 320, 240, 2)
        assert memory_mib(process, "VmRSS") <= before + LEFT_MIB
    finally:
        bench.show()
        assert process.stop() == 0
