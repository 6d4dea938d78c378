"""Nothing leaves the robot: what our commands and the node send, in a network of their own."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SNIFF = Path(__file__).with_name("sniff.py")
WAIT_S = 120.0


def why_not() -> str:
    """Why a network of one's own cannot be had here, "" if it can."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        return "a network of its own needs root and iproute2"
    tried = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "out", "type", "veth", "peer", "name", "x"],
        capture_output=True,
    )
    return "this kernel or container gives no network of its own" if tried.returncode else ""


needs_network = pytest.mark.skipif(bool(why_not()), reason=why_not())


def sniffed(tmp_path: Path, command: list[str], **environment: str) -> dict[str, Any]:
    """What a command sent until its end."""
    report = tmp_path / "report.json"
    ran = subprocess.run(
        ["unshare", "--net", sys.executable, str(SNIFF), str(report), *command],
        capture_output=True, text=True, timeout=WAIT_S, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert report.exists(), ran.stderr
    found: dict[str, Any] = json.loads(report.read_text())
    assert found["rc"] == 0, ran.stdout + ran.stderr
    return found


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture file."""
    path = tmp_path / "photo.png"
    rows = np.linspace(30, 220, 240, dtype=np.uint8)[:, None, None]
    Image.fromarray(np.broadcast_to(rows, (240, 320, 3)).copy()).save(path)
    return path


@needs_network
def test_the_listener_hears_a_look_up(tmp_path: Path) -> None:
    """Without this the tests below could not fail."""
    program = "import socket\ntry: socket.getaddrinfo('cooper.test', 80)\nexcept OSError: pass"
    found = sniffed(tmp_path, [sys.executable, "-c", program], RES_OPTIONS="timeout:1 attempts:1")
    assert [p for p in found["packets"] if p[2] == 53], "no name server asked, or not heard"


@needs_network
def test_commands_send_nothing(photo: Path, tmp_path: Path) -> None:
    # Longer than the commands need: the library asked for its maker's servers from a thread of its
    # own, eight seconds after it was loaded, and made this folder at once.
    program = """
import sys, time
from cooper_ros.cli import main
for words in (["perceive"], ["ask", "how many chairs are there ?"]):
    main([words[0], sys.argv[1], *words[1:], "--intrinsics", "300,300,160,120"])
time.sleep(12)
"""
    found = sniffed(tmp_path, [sys.executable, "-c", program, str(photo)],
                    XDG_CACHE_HOME=str(tmp_path))  # fmt: skip
    assert found["packets"] == []
    assert not (tmp_path / "Microsoft").exists()


@needs_network
def test_the_node_sends_nothing_but_rtps(tmp_path: Path) -> None:
    report, log = tmp_path / "report.json", tmp_path / "node.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["unshare", "--net", sys.executable, str(SNIFF), str(report),
             sys.executable, "-m", "cooper_ros.ros.node", "--ros-args",
             "-p", "no_image_warning_s:=12.0"],
            stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"},
        )  # fmt: skip
    deadline = time.monotonic() + WAIT_S
    # It says so after it has loaded the library, tested the model and found nobody to read from.
    while "nobody publishes it" not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0, log.read_text()
    packets = json.loads(report.read_text())["packets"]
    assert packets, "not even discovery was heard"
    foreign = [p for p in packets if p[0] != "udp" or bytes.fromhex(p[3]) != b"RTPS"]
    assert foreign == []


def test_only_modules_that_import_the_package_first_load_onnxruntime() -> None:
    """The package switches its reports off; nobody here may switch them on."""
    import cooper_ros  # noqa: F401

    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    for path in (ROOT / "cooper_ros").rglob("*.py"):
        for part in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(part, ast.Attribute):
                assert part.attr != "enable_telemetry_events", path


def test_the_variable_wins_over_the_environment_and_reaches_children() -> None:
    program = "import cooper_ros, os; os.system('echo $ORT_DISABLE_TELEMETRY')"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "0"},
    )  # fmt: skip
    assert ran.stdout.strip() == "1"
