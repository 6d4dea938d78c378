"""Soak: the node for a long time beside a camera that restarts and dies, and two asking clients.

python tests/soak/soak.py --minutes 30 --rate 30 --out soak.json

Exit code 1 when something is not as it must be: an answer that was lost or came twice, a question
answered for another, memory that grows, images that are not perceived again soon enough, a node
that ends or does not stop. Needs a ROS 2 environment and the installed model, no torch.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from judge import MOST_RECOVERY_S, judge  # noqa: E402
from parts import Camera, Monitor, Part, memory_mib, render_frames  # noqa: E402

DISTURBANCES = ("restart", "kill", "outage")
OUTAGE_S = 7.0
"""Longer than the node's max_image_age_s and no_image_warning_s: clients must hear of it."""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=30.0, help="camera images per second")
    parser.add_argument("--every", type=float, default=45.0, help="seconds between disturbances")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between questions")
    parser.add_argument("--warm-up", type=float, default=5.0, help="minutes before memory counts")
    parser.add_argument("--recovery", type=float, default=MOST_RECOVERY_S,
                        help="longest time from a camera's first image to its map [s]")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="threads of the node's inference")
    parser.add_argument("--seed", type=int, default=0, help="order of the disturbances")
    parser.add_argument("--out", default="", help="JSON file for the result")
    return parser.parse_args(argv)


def isolate() -> None:
    """A DDS domain of its own, on this machine only, unless the caller chose one."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(90 + os.getpid() % 11))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def soak(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Run everything; the raw record that `judge` looks at."""
    frames = render_frames(work / "frames.npz")
    node = Part("node", work, "-m", "cooper_ros.ros.node", "--ros-args",
                "-p", f"threads:={args.threads}")  # fmt: skip
    askers = [
        Part(f"asker_{name}", work, str(HERE / "asker.py"), name, str(args.pause),
             str(work / f"{name}.jsonl"))
        for name in ("a", "b")
    ]  # fmt: skip
    camera = Camera(work, frames, args.rate)
    monitor = Monitor()
    record: dict[str, Any] = {"events": [], "memory": []}
    try:
        node.start()
        camera.start()
        monitor.wait_for_maps(node, 300.0)
        for asker in askers:
            asker.start()
        _disturb(args, node, camera, monitor, askers, record)
    finally:
        for asker in askers:
            record[asker.name] = asker.stop()
        camera.stop()
        monitor.settle()
        record["node_exit"] = node.stop()
        monitor.close()
    record["minutes"] = monitor.per_minute()
    record["published"] = dict(monitor.answers)
    record["recoveries"] = monitor.recoveries(record["events"])
    record["asked"] = {
        name: [json.loads(line) for line in (work / f"{name}.jsonl").read_text().splitlines()]
        for name in ("a", "b")
    }
    record["node_log"] = node.log()[-4000:]
    record["load_average"] = os.getloadavg()[1]
    return record


def _disturb(
    args: argparse.Namespace, node: Part, camera: Camera, monitor: Any, askers: list[Part],
    record: dict[str, Any],
) -> None:  # fmt: skip
    order = random.Random(args.seed)
    started = time.monotonic()
    end = started + 60.0 * args.minutes
    disturb_at, minute = started + args.every, 0
    while (now := time.monotonic()) < end:
        for part in (node, *askers):
            part.require_alive()
        record["memory"].append([round(now - started, 1), *memory_mib(node.pid)])
        if now >= disturb_at and end - now > args.every / 2:
            kind = order.choice(DISTURBANCES)
            camera.stop(kill=kind != "restart")
            if kind == "outage":
                time.sleep(OUTAGE_S)
            camera.start()
            record["events"].append({"kind": kind, "at_s": round(now - started, 1),
                                     "first_ns": camera.first_ns()})  # fmt: skip
            disturb_at = time.monotonic() + args.every
        if (now - started) // 60 > minute:
            minute = int((now - started) // 60)
            print(f"{minute} min: {monitor.summary()}, {record['memory'][-1][1]:.0f} MiB, "
                  f"{len(record['events'])} disturbances", file=sys.stderr, flush=True)  # fmt: skip
        time.sleep(1.0)


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    isolate()
    with tempfile.TemporaryDirectory(prefix="cooper_soak_") as work:
        record = soak(args, Path(work))
    result = judge(record, args.warm_up, args.minutes, args.recovery)
    result["settings"] = vars(args)
    text = json.dumps(result, indent=1)
    if args.out:
        Path(args.out).write_text(text + "\n", encoding="utf-8")
    print(text)
    return int(bool(result["faults"]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.SubprocessError as error:
        sys.exit(f"soak: {error}")
