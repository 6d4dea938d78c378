"""Publishers that cannot be heard: the node names them and the policy, and sees when it is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from harness import Bench, Process, room_image
from sensor_msgs.msg import Image

from cooper_ros.ros.qos import ImagePublisherQoS, SensorDataQoS, StandardTopicQoS


def test_an_incompatible_publisher_is_named_until_it_is_gone(
    ros: None, bench: Bench, tmp_path: Path
) -> None:
    """The node is told to demand reliable images (`qos_overrides`), the camera is best effort."""
    process = Process(
        "cooper_ros.ros.node",
        *("--ros-args", "-r", "__node:=strict", "-r", "image:=/strict_image",
          "-p", "qos_overrides./strict_image.subscription.reliability:=reliable"),
        log=tmp_path / "strict.log",
    )  # fmt: skip
    reports = bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())

    def status() -> Any:
        found = [m.status[0] for m in reports if m.status[0].name == "strict: perception"]
        return found[-1] if found else None

    def complains() -> bool:
        return status() is not None and "incompatible RELIABILITY" in status().message

    try:
        unheard = bench.node.create_publisher(Image, "strict_image", SensorDataQoS())
        bench.wait(complains, process)
        assert status().level == b"\x02"
        assert "/strict_image: publisher (" in status().message
        assert "/strict_image: publisher (" in process.log
        bench.node.destroy_publisher(unheard)
        bench.wait(lambda: not complains(), process)
        heard = bench.node.create_publisher(Image, "strict_image", ImagePublisherQoS())

        def rate() -> float:
            heard.publish(room_image())
            values = {pair.key: pair.value for pair in status().values}
            return float(values.get("image rate [Hz]", "0"))

        bench.wait(rate, process)
        assert not complains()
    finally:
        assert process.stop() == 0
