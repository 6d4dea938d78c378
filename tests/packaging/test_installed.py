"""What pip has installed is what robots look for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cooper_ros.core import paths

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path(sys.prefix)


@pytest.mark.parametrize("folder", ["config", "launch"])
def test_data_is_in_the_share_directory(folder: str) -> None:
    shipped = [p for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert shipped
    for source in shipped:
        assert (PREFIX / "share/cooper_ros" / source.relative_to(ROOT)).is_file(), source


def test_the_package_is_in_the_ament_index() -> None:
    index = PREFIX / "share/ament_index/resource_index"
    assert (index / "packages/cooper_ros").is_file()
    listed = (index / "rosidl_interfaces/cooper_ros").read_text().split()
    sources = [f"{p.parent.name}/{p.name}" for p in ROOT.glob("*/*.msg")]
    assert set(sources) <= set(listed)


def test_executables_start_with_the_python_they_belong_to() -> None:
    """`ros2 run` uses them with whatever PATH it has."""
    for name in ("cooper_node", "cooper_sim_camera"):
        wrapper = PREFIX / "lib/cooper_ros" / name
        assert os.access(wrapper, os.X_OK), name
        shell = subprocess.run(["sh", "-n", str(wrapper)], capture_output=True, text=True)
        assert shell.returncode == 0, shell.stderr
        assert f"cooper_ros.ros.{name.removeprefix('cooper_')}" in wrapper.read_text()


def test_the_checkout_is_recognised() -> None:
    assert paths.checkout_directory() == ROOT
    assert paths.find_shared("config/fastdds_shm.xml") == ROOT / "config/fastdds_shm.xml"


def test_the_dds_profile_holds_a_full_image() -> None:
    """A segment smaller than a frame loses images; this one holds several of 1280x720."""
    import xml.etree.ElementTree as ElementTree

    profile = ElementTree.parse(ROOT / "config/fastdds_shm.xml").getroot()
    namespace = {"dds": "http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"}
    size = profile.findtext(".//dds:segment_size", namespaces=namespace)
    largest = profile.findtext(".//dds:maxMessageSize", namespaces=namespace)
    assert int(size or 0) >= 4 * 1280 * 720 * 3
    assert int(largest or 0) > 1280 * 720 * 3
