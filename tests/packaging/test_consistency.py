"""What is written in more than one place says the same everywhere."""

from __future__ import annotations

import ast
import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import cooper_ros

ROOT = Path(__file__).resolve().parents[2]
PACKAGE_XML = ElementTree.parse(ROOT / "package.xml").getroot()
CMAKE = (ROOT / "CMakeLists.txt").read_text()
README = (ROOT / "README.md").read_text()
INSTALL = (ROOT / "docs" / "install.md").read_text()


def requirements(extra: str) -> set[str]:
    """Names of the packages that an extra of the installed distribution brings ("" = core)."""
    found = set()
    for line in requires("cooper_ros") or []:
        requirement = Requirement(line)
        marker = str(requirement.marker or "")
        named = re.search(r'extra == "([^"]+)"', marker)
        if (named[1] if named else "") == extra:
            found.add(requirement.name.lower().replace("_", "-"))
    return found


def setup_constant(name: str) -> object:
    """A literal that setup.py assigns at top level."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"setup.py assigns no {name}")


def test_one_version() -> None:
    assert PACKAGE_XML.findtext("version") == cooper_ros.__version__
    assert metadata("cooper_ros")["Version"] == cooper_ros.__version__


def test_one_licence_and_maintainer() -> None:
    assert PACKAGE_XML.findtext("license") == "Apache-2.0" == metadata("cooper_ros")["License"]
    assert PACKAGE_XML.findtext("maintainer") == "cooper_ros maintainers"
    assert metadata("cooper_ros")["Maintainer"] == "cooper_ros maintainers"
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence and "END OF TERMS AND CONDITIONS" in licence


def test_cmake_and_pip_install_the_same_folders() -> None:
    listed = re.search(r"foreach\(folder ([^)]+)\)", CMAKE)
    assert listed and tuple(listed[1].split()) == setup_constant("SHARED_FOLDERS")
    manifest = (ROOT / "MANIFEST.in").read_text()
    for folder in listed[1].split():
        assert f"graft {folder}\n" in manifest, folder


def test_cmake_finds_the_packages_that_package_xml_names() -> None:
    listed = re.search(r"set\(interface_dependencies ([^)]+)\)", CMAKE)
    assert listed
    assert listed[1].split() == [node.text for node in PACKAGE_XML.iter("depend")]


def test_ros2_run_and_console_scripts_start_the_same_modules() -> None:
    from importlib.metadata import entry_points

    from cooper_ros.start import PROGRAMS

    scripts = {
        script.name: script.value
        for script in entry_points(group="console_scripts")
        if script.value.startswith("cooper_ros.")
    }
    executables = dict(re.findall(r"^\s+(cooper_\w+)=([\w.]+?)\)?$", CMAKE, re.MULTILINE))
    assert {"cooper": "cooper_ros.cli", **executables} == PROGRAMS
    assert scripts.pop("cooper") == "cooper_ros.cli:main"
    assert scripts == {name: f"cooper_ros.start:{name}" for name in executables}
    for module in executables.values():
        assert importlib.util.find_spec(module), module
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").read_text().count(
            '__name__ == "__main__"'
        ), f"{module} cannot be run with python -m"


def test_every_folder_of_sources_is_a_package() -> None:
    """setuptools would silently leave out a folder without __init__.py."""
    folders = {path.parent for path in (ROOT / "cooper_ros").rglob("*.py")}
    assert [str(f) for f in sorted(folders) if not (f / "__init__.py").exists()] == []


def test_every_ros_package_in_use_is_in_package_xml() -> None:
    """What rosdep and colcon users get to install."""
    named = {node.text for node in PACKAGE_XML if (node.tag or "").endswith("depend")}
    used = set()
    for path in (ROOT / "cooper_ros").rglob("*.py"):
        used |= set(re.findall(r"^\s*(?:from|import) (\w+_(?:msgs|srvs|interfaces))\b",
                               path.read_text(), re.MULTILINE))
    assert used and used - named - {"vision_msgs"} == set()


# the eight packages of the design, and the extra that brings each ("" = always installed)
EIGHT = {
    "rclpy": ("ros", "ros-rclpy"),
    "torch": ("torch", "torch"),
    "transformers": ("torch", "transformers"),
    "opencv-python": ("", "opencv-python-headless"),
    "cv-bridge": ("ros", "cv-bridge"),
    "numpy": ("", "numpy"),
    "tensorrt": ("tensorrt", "tensorrt-rtx-cu13-libs"),
    "onnx": ("export", "onnx"),
}


@pytest.mark.parametrize("name", EIGHT)
def test_install_table_says_where_a_package_comes_from(name: str) -> None:
    extra, distribution = EIGHT[name]
    assert distribution in requirements(extra)
    row = re.search(rf"^\| `{name}` \|(.+)\|$", INSTALL, re.MULTILINE)
    assert row, f"the table of docs/install.md has no row for {name}"
    cells = [cell.strip() for cell in row[1].split("|")]
    assert len(cells) == 3 and all(cells), "where used, what brings it, what happens without"
    assert (f"`{extra}`" if extra else "always") in cells[1]


def test_install_page_lists_every_extra() -> None:
    listed = re.findall(r"^\| `([a-z]+)` \| [^|]+ \| [^|]+ \|$", INSTALL, re.MULTILINE)
    assert listed == list(dict.fromkeys(listed)) and "ros" in listed
    assert set(listed) == set(metadata("cooper_ros").get_all("Provides-Extra") or [])


def test_install_table_names_no_extra_that_does_not_exist() -> None:
    table = INSTALL[INSTALL.index("| package |"):]
    table = table[: table.index("\n\n")]
    for extra in re.findall(r"extra `([^`]+)`", table):
        assert requirements(extra), extra


def test_readme_leads_with_the_two_commands() -> None:
    commands = re.findall(r"\bmake \w+", README)
    assert commands[:2] == ["make demo", "make test"]
