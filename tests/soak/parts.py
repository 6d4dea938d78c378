"""What the soak is made of: processes, a camera that can die, and a reader of the node's topics."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from cooper_ros.msg import DepthInfo, SpatialAnswer
from cooper_ros.ros.environment import set_defaults
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.qos import StandardTopicQoS

HERE = Path(__file__).resolve().parent
STOP_S = 30.0
SETTLE_S = 2.0
"""Answers on the topic may come after the reply: silence of this long ends the wait."""

WIDTH, HEIGHT, FRAMES = 640, 480, 40


class Part:
    """One process, its output in a file."""

    def __init__(self, name: str, work: Path, *command: str) -> None:
        self.name = name
        self._command = [sys.executable, *command]
        self._log = work / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; its output is appended to the log."""
        root = str(HERE.parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        with open(self._log, "ab") as out:
            self._process = subprocess.Popen(
                self._command, stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip

    def require_alive(self) -> None:
        """Raise when it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise subprocess.SubprocessError(
                f"{self.name} ended with {self._process.returncode}:\n{self.log()[-4000:]}"
            )

    def log(self) -> str:
        """All it wrote."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self, kill: bool = False) -> int | None:
        """Ctrl-C (or SIGKILL); the exit code, None when it had to be killed after that."""
        if self._process is None or self._process.poll() is not None:
            return None if self._process is None else self._process.returncode
        self._process.send_signal(signal.SIGKILL if kill else signal.SIGINT)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None


class Camera(Part):
    """The camera process; knows the stamp of the first image since its newest start."""

    def __init__(self, work: Path, frames: Path, rate: float) -> None:
        super().__init__("camera", work, str(HERE / "camera.py"), str(frames), str(rate))
        self._starts = 0

    def start(self) -> None:
        """Start it again."""
        super().start()
        self._starts += 1

    def first_ns(self, timeout_s: float = 60.0) -> int:
        """Stamp of its first image; waits for it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            stamps = [x.split()[1] for x in self.log().splitlines() if x.startswith("first ")]
            if len(stamps) >= self._starts:
                return int(stamps[self._starts - 1])
            self.require_alive()
            time.sleep(0.02)
        raise subprocess.SubprocessError(f"the camera sent no image in {timeout_s:g} s")


class Monitor:
    """Reads `depth/info` and `answer` of the node in a thread of its own."""

    def __init__(self) -> None:
        set_defaults()
        rclpy.init()
        self._node = Node("soak_monitor")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._changed = threading.Condition()
        self._maps: list[tuple[int, int]] = []  # (stamp, received), both [ns]
        self._last_answer = time.monotonic()
        self.answers: Counter[str] = Counter()
        self._node.create_subscription(
            DepthInfo, "cooper/depth/info", self._on_map, StandardTopicQoS(100)
        )
        self._node.create_subscription(
            SpatialAnswer, "cooper/answer", self._on_answer, StandardTopicQoS(1000)
        )
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_map(self, message: DepthInfo) -> None:
        with self._changed:
            self._maps.append((time_to_ns(message.header.stamp), time.time_ns()))
            self._changed.notify_all()

    def _on_answer(self, message: SpatialAnswer) -> None:
        with self._changed:
            self.answers[message.question] += 1
            self._last_answer = time.monotonic()

    def wait_for_maps(self, node: Part, timeout_s: float) -> None:
        """Until the node has perceived its first image."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._maps:
                node.require_alive()
                if time.monotonic() > deadline:
                    raise subprocess.SubprocessError(f"no map in {timeout_s:g} s:\n{node.log()}")
                self._changed.wait(0.5)

    def settle(self) -> None:
        """Until no more answers come."""
        while time.monotonic() - self._last_answer < SETTLE_S:
            time.sleep(0.1)

    def close(self) -> None:
        """Stop reading."""
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(5.0)
        self._node.destroy_node()
        rclpy.try_shutdown()

    def summary(self) -> str:
        """Counts so far, for people."""
        return f"{len(self._maps)} maps, {sum(self.answers.values())} answers"

    def per_minute(self) -> list[dict[str, float]]:
        """Maps per second and median age [s] of a map when it arrives, by minute."""
        if not self._maps:
            return []
        begin = self._maps[0][1]
        rows: dict[int, list[float]] = {}
        for stamp, received in self._maps:
            rows.setdefault((received - begin) // 60_000_000_000, []).append(
                (received - stamp) / 1e9
            )
        whole = sorted(rows)[:-1] or sorted(rows)
        return [
            {"hz": round(len(rows[m]) / 60.0, 2), "age_s": round(float(np.median(rows[m])), 4)}
            for m in whole
        ]

    def recoveries(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Per disturbance, seconds from the new camera's first image to the first map of its."""
        found = []
        for event in events:
            first = event["first_ns"]
            arrived = [received for stamp, received in self._maps if stamp >= first]
            seconds = (min(arrived) - first) / 1e9 if arrived else None
            found.append({"kind": event["kind"], "at_s": event["at_s"],
                          "seconds": None if seconds is None else round(seconds, 3)})  # fmt: skip
        return found


def memory_mib(pid: int) -> tuple[float, float]:
    """(resident, of it private) memory of a process [MiB]."""
    values = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("VmRSS", "RssAnon")):
            key, amount = line.split(":")
            values[key] = int(amount.split()[0]) / 1024.0
    return round(values["VmRSS"], 2), round(values["RssAnon"], 2)


def render_frames(path: Path) -> Path:
    """Pictures of a simulated robot camera, for the camera process to repeat."""
    from cooper_ros.sim.stream import SimCamera

    camera = SimCamera(seed=3, width=WIDTH, height=HEIGHT)
    try:
        frames = [camera.step() for _ in range(FRAMES)]
        np.savez(path, rgb=np.stack([f.rgb for f in frames]), focal=frames[0].intrinsics.fx)
    finally:
        camera.close()
    return path
