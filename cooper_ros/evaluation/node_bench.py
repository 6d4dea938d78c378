"""What the node costs beside the model: publisher, node and monitor as three processes.

In the manner of ros2_benchmark: the publisher sends a picture at a fixed rate, the monitor notes
when everything made of it has arrived. Per frame, from the moment before sending:

- `end_to_end`: until the last of the node's topics has arrived at the monitor;
- `inference`: what the model took, as `~/depth/info` says;
- `beyond_inference`: the difference. It holds two transports between processes, the executor's
  waiting, and the node's own work;
- `image_hop`: the transport of the picture alone, publisher to monitor;
- `node`: the node's own work: reading the message off the wire (processor time, measured in the
  monitor on the same bytes), converting it, and publishing everything (by the clock, as the node
  reports); `processor_ms` is the same in processor time, which other programs do not disturb.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from cooper_ros.core.errors import CooperError
from cooper_ros.evaluation.bench import machine

SIZES = {"640x480": (640, 480), "1920x1080": (1920, 1080)}
TARGETS_MS = {"640x480": 5.0, "1920x1080": 15.0}
STOP_S = 20.0


@dataclass(frozen=True)
class NodeOptions:
    """`topics`: `maps` (depth, labels, segments) or `all` (relative, confidence, overlay, points as
    well); `rate_hz` should be below what the model can do, or frames queue; `limit_s` per size."""

    frames: int = 40
    rate_hz: float = 4.0
    topics: str = "maps"
    threads: int = 2
    model: str = "cooper-nano"
    limit_s: float = 120.0
    sizes: tuple[str, ...] = ("640x480", "1920x1080")


def bench_node(options: NodeOptions) -> dict[str, Any]:
    """All sizes; times are medians and 90th percentiles [ms]."""
    return {
        "machine": machine(),
        "load": os.getloadavg()[0],
        "topics": options.topics,
        "rate_hz": options.rate_hz,
        "threads": options.threads,
        "sizes": {name: _one_size(name, options) for name in options.sizes},
    }


def _one_size(name: str, options: NodeOptions) -> dict[str, Any]:
    width, height = SIZES[name]
    node = _start(
        "cooper_ros.ros.node",
        *("--ros-args", "-p", f"threads:={options.threads}", "-p", f"model:={options.model}"),
    )
    parts = [node]
    try:
        parts.append(
            _start(
                "cooper_ros.evaluation.node_parts", "publisher", "--width", str(width),
                "--height", str(height), "--rate", str(options.rate_hz),
            )  # fmt: skip
        )
        monitor = _start(
            "cooper_ros.evaluation.node_parts", "monitor", "--frames", str(options.frames),
            "--topics", options.topics, "--limit", str(options.limit_s), output=subprocess.PIPE,
        )  # fmt: skip
        parts.append(monitor)
        text = monitor.communicate(timeout=options.limit_s + 60.0)[0]
    finally:
        for process in reversed(parts):
            _stop(process)
    lines = (text or "").strip().splitlines()
    found = json.loads(lines[-1]) if lines else {"frames": []}
    if len(found["frames"]) < 3:
        raise CooperError(
            f"{name}: only {len(found['frames'])} frames came through in {options.limit_s:g} s; "
            "give more time (--limit), or look at what `cooper_node` logs"
        )
    return summary(found, TARGETS_MS[name])


def summary(found: dict[str, Any], target_ms: float) -> dict[str, Any]:
    """Medians and 90th percentiles [ms] of what the monitor saw. The first frames, in which
    buffers are made and caches filled, do not count."""
    frames = found["frames"][max(len(found["frames"]) // 10, 1) :]
    columns = {key: np.array([frame[key] for frame in frames]) for key in frames[0]}
    columns["beyond_inference"] = columns["end_to_end"] - columns["inference"]
    figures: dict[str, Any] = {
        key: {
            "median_ms": 1e3 * float(np.median(values)),
            "p90_ms": 1e3 * float(np.percentile(values, 90)),
        }
        for key, values in columns.items()
    }
    own, receive = found.get("own") or [], found.get("receive")
    node_ms = 1e3 * (float(np.median(own)) + receive) if own and receive is not None else None
    processor = found.get("own_processor") or []
    figures["node"] = {
        "median_ms": node_ms,
        "processor_ms": 1e3 * (float(np.median(processor)) + receive)
        if processor and receive is not None
        else None,
        "receive_ms": None if receive is None else 1e3 * receive,
        "convert_and_publish_ms": 1e3 * float(np.median(own)) if own else None,
        "target_ms": target_ms,
        "within_target": node_ms is not None and node_ms <= target_ms,
    }
    figures["frames"] = len(frames)
    return figures


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"{figures['machine']}, load {figures['load']:.1f}, {figures['rate_hz']:g} Hz, topics "
        f"{figures['topics']}; medians [ms] (90th percentile)"
    ]
    for name, found in figures["sizes"].items():
        node = found["node"]
        lines.append(f"{name}, {found['frames']} frames")
        for key in ("end_to_end", "inference", "beyond_inference", "image_hop"):
            value = found[key]
            text = key.replace("_", " ")
            lines.append(f"  {text:18s} {value['median_ms']:7.1f} ({value['p90_ms']:.1f})")
        if node["median_ms"] is None:
            lines.append("  node               not known: no /diagnostics arrived")
            continue
        verdict = "within" if node["within_target"] else "MISSES"
        lines.append(
            f"  {'node':18s} {node['median_ms']:7.1f} = receive {node['receive_ms']:.1f} + convert "
            f"and publish {node['convert_and_publish_ms']:.1f}; {verdict} the target of "
            f"{node['target_ms']:g} (processor time {node['processor_ms']:.1f})"
        )
    return "\n".join(lines)


def _start(module: str, *arguments: str, output: Any = subprocess.DEVNULL) -> Any:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=output,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _stop(process: Any) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    end = time.monotonic() + STOP_S
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
        process.wait()
