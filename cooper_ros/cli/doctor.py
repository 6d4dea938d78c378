"""What works on this machine and on this robot, and what to do where something does not.

Looks at machine, packages, model folder (hashes and self-test), ROS installation, the way of
images between processes, and at the cameras and the perception node of this ROS domain. Changes
nothing, unless `--clean` is given: that removes what killed nodes left in shared memory. Exit
code 1 when something needed does not work; `--json` is good for a bug report.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cooper_ros.deploy.doctor import Check

EXAMPLE = "cooper doctor --node /cooper"
COLOURS = {"ok": "32", "info": "36", "warn": "33", "FAIL": "31"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--model", default="cooper-nano", help="model folder, name or path")
    parser.add_argument("--node", default="cooper", help="perception node (default /cooper)")
    parser.add_argument(
        "--quick", action="store_true", help="without self-test and without sending images"
    )
    parser.add_argument(
        "--clean", action="store_true", help="first remove shared memory of killed nodes"
    )
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Look at everything and report; 1 if something needed does not work."""
    if args.clean:
        from cooper_ros.ros import shared_memory

        print(shared_memory.clean())
    checks = collect(args.model, args.node, args.quick)
    area = ""
    for check in checks:
        if check.area != area:
            area = check.area
            print(f"\n{area}")
        print(_line(check))
    counts = {name: sum(c.verdict.value == name for c in checks) for name in COLOURS}
    print(f"\n{counts['FAIL']} failed, {counts['warn']} warnings, {counts['ok']} ok")
    if args.json:
        rows = [
            {"area": c.area, "name": c.name, "verdict": c.verdict.value.lower(),
             "found": c.found, "advice": c.advice}
            for c in checks
        ]  # fmt: skip
        print(json.dumps({"checks": rows, "failed": counts["FAIL"]}))
    return 1 if counts["FAIL"] else 0


def collect(model: str, node: str, quick: bool) -> list[Check]:
    """All checks; those of ROS only where rclpy is installed."""
    from cooper_ros.deploy import doctor

    checks = doctor.machine_checks() + doctor.package_checks() + doctor.shared_files()
    checks += doctor.guarded("machine", (_renderer,))
    checks += doctor.model_checks(model, self_test=not quick)
    if importlib.util.find_spec("rclpy") is None:
        found = "rclpy is not installed"
        advice = "needed for the node: source ROS 2, or see docs/install.md"
        return [*checks, doctor.Check("ros", "rclpy", doctor.Verdict.INFO, found, advice)]
    from cooper_ros.ros import doctor as ros
    from cooper_ros.ros.environment import set_defaults

    checks += ros.installation_checks()  # before the defaults: what the user has set
    set_defaults()
    if not any(c.area == "ros" and c.verdict is doctor.Verdict.FAIL for c in checks):
        if not quick:
            checks += ros.transport_checks(1 + os.getpid() % 101)
        checks += ros.graph_checks(node)
    return checks


def _renderer() -> list[Check]:
    """What draws the simulated camera, where the simulator is installed."""
    from cooper_ros.deploy.doctor import Check, Verdict
    from cooper_ros.sim import opengl

    if importlib.util.find_spec("mujoco") is None:
        return []
    try:
        return [Check("machine", "OpenGL", Verdict.OK, f"{opengl.choose()} (simulated camera)")]
    except opengl.NoRendererError as error:
        found = "nothing draws the simulated camera"
        return [Check("machine", "OpenGL", Verdict.WARN, found, str(error))]


def _line(check: Check) -> str:
    verdict = check.verdict.value
    shown = f"{verdict:>4}"
    if sys.stdout.isatty():
        shown = f"\033[{COLOURS[verdict]}m{shown}\033[0m"
    line = f"  {shown}  {check.name:<20} {check.found}"
    return f"{line}\n        -> {check.advice}" if check.advice else line
