"""The benchmark of the node: what it makes of the monitor's times, and its parts on the wire."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from cooper_ros.evaluation.node_bench import SIZES, TARGETS_MS, summary, table  # noqa: E402
from cooper_ros.evaluation.node_parts import EVERYTHING, MAPS, OWN_PROCESSOR, OWN_TIME  # noqa: E402
from cooper_ros.ros.interfaces import INTERFACES, PUBLISHES  # noqa: E402


def seen(own: list[float] | None = None) -> dict:
    """Ten frames; the first is slow, as a first one is."""
    frames = [{"end_to_end": 9.0, "inference": 1.0, "image_hop": 1.0}]
    frames += [{"end_to_end": 0.120, "inference": 0.100, "image_hop": 0.004}] * 9
    own = [0.003] if own is None else own
    return {"frames": frames, "own": own, "own_processor": own, "receive": 0.001}


def test_times_are_taken_apart() -> None:
    figures = summary(seen(), 5.0)
    assert figures["frames"] == 9, "the first frames do not count"
    assert figures["end_to_end"]["median_ms"] == pytest.approx(120.0)
    assert figures["beyond_inference"]["median_ms"] == pytest.approx(20.0)
    assert figures["image_hop"]["p90_ms"] == pytest.approx(4.0)
    node = figures["node"]
    assert node["median_ms"] == pytest.approx(4.0) and node["within_target"]
    assert node["processor_ms"] == pytest.approx(4.0)
    assert not summary(seen([0.005]), 5.0)["node"]["within_target"]


def test_the_table_says_whether_the_target_is_met() -> None:
    head = {"machine": "a robot", "load": 0.5, "rate_hz": 4.0, "topics": "maps"}
    text = table({**head, "sizes": {"640x480": summary(seen(), 5.0)}})
    assert "within the target of 5" in text and "a robot" in text
    assert "MISSES" in table({**head, "sizes": {"640x480": summary(seen([0.1]), 5.0)}})
    assert "no /diagnostics" in table({**head, "sizes": {"640x480": summary(seen([]), 5.0)}})


def test_every_size_has_a_target_and_every_topic_is_one_of_the_node() -> None:
    assert set(SIZES) == set(TARGETS_MS)
    published = {spec.name: spec.type for spec in INTERFACES if spec.kind == PUBLISHES}
    assert set(MAPS) < set(EVERYTHING)
    for topic, kind in EVERYTHING.items():
        assert published[f"~/{topic}"].split("/")[-1] == kind.__name__


def test_the_node_reports_what_the_benchmark_reads() -> None:
    spec = importlib.util.find_spec("cooper_ros.ros.diagnostics")
    assert spec and spec.origin
    source = open(spec.origin, encoding="utf-8").read()
    assert f'"{OWN_TIME}"' in source and f'"{OWN_PROCESSOR}"' in source


def test_publisher_and_monitor_understand_each_other() -> None:
    """Without a node: the monitor sees the images, and says that nothing came of them."""
    publisher = subprocess.Popen(
        [sys.executable, "-m", "cooper_ros.evaluation.node_parts", "publisher", "--width", "64",
         "--height", "48", "--rate", "20"],
    )  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cooper_ros.evaluation.node_parts", "monitor", "--limit", "8"],
            capture_output=True, text=True, timeout=240, check=True,
        )  # fmt: skip
    finally:
        publisher.kill()
        publisher.wait()
    import json

    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["images_seen"] > 0 and result["receive"] > 0.0
    assert result["frames"] == [] and result["own"] == []
