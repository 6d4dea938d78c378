"""Speed of a model folder on this machine: image in, maps and answers out."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cooper_ros.core.errors import CooperError
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.evaluation.peers import OURS, USUAL, Peer, time_peer
from cooper_ros.evaluation.timing import Timing, measure
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.pipeline import CooperPipeline

SIZE = (640, 480)
QUESTIONS = ("how far is the table ?", "how far is the chair ?", "how many chairs are there ?")
CAMERA_COMMAND = "from cooper_ros.ros.sim_camera import main; main()"
CAMERA_WARM_UP_S = 8.0


@dataclass(frozen=True)
class Options:
    """What to time. `camera`: a simulated camera runs beside, as on a robot in simulation."""

    model: str | None = None
    threads: int = 2
    runs: int = 15
    peers: bool = False
    camera: bool = False
    backend: str = "auto"


def bench(options: Options) -> dict[str, Any]:
    """All timings: `see`, `maps` (depth + segmentation after see), `perceive` (both), `answer`."""
    pipeline = CooperPipeline.open(options.model, options.backend, options.threads)
    frames = pictures(max(options.runs, 3))
    with camera_beside(options.camera):
        figures: dict[str, Any] = {
            "model": pipeline.model_id,
            "backend": pipeline.backend_name,
            "machine": machine(),
            "threads": options.threads,
            "width": SIZE[0],
            "height": SIZE[1],
            "beside_camera": options.camera,
            **time_pipeline(pipeline, frames),
            **time_messages(pipeline, frames[0], options.runs),
            "peak_memory_mb": peak_memory_mb(),
        }
    if options.peers:
        figures["peers"] = compare(options, figures["perceive"])
    return figures


def time_pipeline(pipeline: CooperPipeline, frames: Sequence[Frame]) -> dict[str, Any]:
    """`see`; `maps`; `perceive` = both; `answer`: the first question about a frame, interleaved;
    `answer_again`: another one, maps in its context from the start; `answer_direct`."""
    warm = pipeline.see(frames[0])
    warm.perceive()
    warm.answer(QUESTIONS[0])
    contexts: list[FrameContext] = []
    # No warm-up below: a context keeps what it made, so a second call would time nothing.
    seen = measure([partial(_see, pipeline, frame, contexts) for frame in frames], warm_up=0)
    made = measure([context.perceive for context in contexts], warm_up=0)
    figures = {"see": seen, "maps": made, "perceive": seen + made}
    modes = {"answer": "interleaved", "answer_again": "maps", "answer_direct": "direct"}
    for offset, (name, mode) in enumerate(modes.items()):
        calls = [
            partial(context.answer, QUESTIONS[(index + offset) % len(QUESTIONS)], mode)
            for index, context in enumerate(contexts)
        ]
        figures[name] = measure(calls, warm_up=0)
    return {name: timing.to_dict() for name, timing in figures.items()}


def time_messages(pipeline: CooperPipeline, frame: Frame, runs: int) -> dict[str, Any]:
    """`message_in`: sensor_msgs/Image to the tensors the graphs take; `message_out`: depth and
    labels to messages. Empty where the ROS messages are not installed."""
    try:
        from cooper_ros.ros.conversion import array_to_image, image_to_rgb
    except ModuleNotFoundError:
        return {}
    from cooper_ros.runtime.pictures import prepare

    message = array_to_image(frame.rgb, "rgb8")
    depth = np.ones(frame.rgb.shape[:2], np.float32)
    labels = np.zeros(frame.rgb.shape[:2], np.uint8)

    def back() -> None:
        array_to_image(depth, "32FC1")
        array_to_image(labels, "mono8")

    into = measure([lambda: prepare(pipeline.spec, image_to_rgb(message)).vision] * runs)
    return {"message_in": into.to_dict(), "message_out": measure([back] * runs).to_dict()}


def _see(pipeline: CooperPipeline, frame: Frame, contexts: list[FrameContext]) -> None:
    contexts.append(pipeline.see(frame))


def compare(options: Options, perceive: Mapping[str, float]) -> dict[str, Any]:
    """Both peers at both sizes, and how many times longer than depth + segmentation they take.

    `perceive`: our timing, as `Timing.to_dict`. `ratio` compares wall time, `processor_ratio`
    processor time, which other work on the machine does not change.
    """
    figures: dict[str, Any] = {}
    for name, pair in (("usual_size", USUAL), ("our_size", OURS)):
        times = {peer.label: _time_peer(peer, options).to_dict() for peer in pair}
        wall, work = (
            {label: time[key] for label, time in times.items()}
            for key in ("median_ms", "processor_ms")
        )
        total, worked = sum(wall.values()), sum(work.values())
        figures[name] = {
            "median_ms": wall,
            "processor_ms": work,
            "pair_ms": total,
            "pair_processor_ms": worked,
            "ratio": total / perceive["median_ms"],
            "processor_ratio": worked / perceive["processor_ms"],
        }
    return figures


def _time_peer(peer: Peer, options: Options) -> Timing:
    runs = max(3, options.runs // 3)  # they are slow
    return time_peer(peer, options.threads, runs)


def pictures(count: int) -> list[Frame]:
    """`count` camera pictures: of a simulated room where the simulator is installed, else noise."""
    try:
        from cooper_ros.evaluation.scenes import cache_directory, iterate_scenes, read_scene

        jobs = iterate_scenes(cache_directory(), 0, 3, 1, size=SIZE)
        found = [item.frame for job in jobs for item in read_scene(job.path, job.scene)]
    except ModuleNotFoundError:
        rng = np.random.default_rng(0)
        intrinsics = Intrinsics.from_fov(60.0, *SIZE)
        shape = (SIZE[1], SIZE[0], 3)
        found = [Frame(rng.integers(0, 256, shape, dtype=np.uint8), intrinsics)]
    return [found[index % len(found)] for index in range(count)]


@contextlib.contextmanager
def camera_beside(wanted: bool) -> Iterator[None]:
    """The simulated camera at its own rate in a process beside, while the block runs."""
    if not wanted:
        yield
        return
    process = subprocess.Popen(
        [sys.executable, "-c", CAMERA_COMMAND],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # It builds its world first; ending is the only thing it could say meanwhile.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(CAMERA_WARM_UP_S)
            raise CooperError(
                f"the simulated camera ended with exit code {process.returncode}: "
                "run `cooper_sim_camera` by hand to see why"
            )
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def machine() -> str:
    """Processor and number of usable cores."""
    import os

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def peak_memory_mb() -> float:
    """Largest resident size of this process so far [MB]."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
