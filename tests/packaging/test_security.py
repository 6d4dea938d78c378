"""What nobody may do to a robot with a file or a message; docs/security.md says it in words."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.ros.interfaces import ACTION, INTERFACES, PUBLISHES, READS, SERVICE
from cooper_ros.runtime.folder import MANIFEST, ModelFolder

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cooper_ros"
FILES = sorted(PACKAGE.rglob("*.py"))

UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
OPENERS = {"open", "read_bytes", "read_text", "write_bytes", "write_text", "memmap", "load",
           "imread", "imwrite", "from_file", "unlink", "mkdir", "rmtree"}  # fmt: skip

MAY_OPEN = {
    "ros/conversion.py": "pictures in memory, no path",
    "ros/command_line.py": "parameter files of the command line",
    "ros/environment.py": "the log folder, from the environment",
    "ros/memory.py": "/proc/self/statm",
    "ros/runner.py": "/dev/null",
    "ros/shared_memory.py": "/dev/shm and /proc",
    "ros/bags/": "paths of the command line",
}
"""Files of the node's room that open paths, and whose paths these are. Never those of a message."""


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Name of the called function, without its object, and the call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                yield function.attr, node
            elif isinstance(function, ast.Name):
                yield function.id, node


def faults(source: str) -> list[str]:
    """What a module does that could run foreign code."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [f"imports {n}" for n in names if n.split(".")[0] in UNPICKLERS]
    for name, call in calls(tree):
        given = {k.arg: k.value for k in call.keywords}
        owner = ast.unparse(call.func).split(".")[0]
        if name == "load" and owner == "torch":
            if not _is(given.get("weights_only"), True):
                found.append("torch.load without weights_only=True")
        if "allow_pickle" in given and not _is(given["allow_pickle"], False):
            found.append("allow_pickle")
        if _is(given.get("shell"), True):
            found.append("a shell")
        if owner == "yaml" and name in ("load", "unsafe_load", "full_load"):
            found.append("yaml without safe_load")
        if isinstance(call.func, ast.Name) and name in ("eval", "exec", "compile", "__import__"):
            found.append(name)
        if owner == "os" and name in ("system", "popen"):
            found.append(f"os.{name}")
    return found


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_is_unpickled_or_executed(path: Path) -> None:
    assert faults(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from joblib import load", "np.load(f, allow_pickle=True)", "eval(text)",
     "torch.load(f)", "yaml.load(f)", "os.system(x)", "subprocess.run(x, shell=True)"],
)  # fmt: skip
def test_the_check_finds_faults(line: str) -> None:
    assert faults(line)


def test_the_node_opens_no_path_of_a_message() -> None:
    """By list: the fuzzer watches the same thing at run time (tests/fuzz)."""
    opening = {
        str(path.relative_to(PACKAGE))
        for path in (PACKAGE / "ros").rglob("*.py")
        for name, call in calls(ast.parse(path.read_text("utf-8")))
        if name in OPENERS and not _is_method_of_self(call)
    }
    unlisted = {path for path in opening if not any(path.startswith(known) for known in MAY_OPEN)}
    assert unlisted == set(), "say in MAY_OPEN whose path it opens, or do not open it"


def _is_method_of_self(call: ast.Call) -> bool:
    return ast.unparse(call.func).startswith(("self.", "CooperPipeline."))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_model_folder(), tmp_path / "model"))


def listed_files() -> list[str]:
    return sorted(json.loads((find_model_folder() / MANIFEST).read_text())["files"])


@pytest.mark.parametrize("name", listed_files())
def test_a_changed_byte_in_any_file_of_a_model_is_found(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(bytes(data))
    with pytest.raises(ModelFolderError, match=re.escape(name) + " was altered"):
        ModelFolder.open(folder)


def test_every_graph_and_weight_of_a_model_is_listed() -> None:
    """A file that is not listed is not checked, so none may be used."""
    model = ModelFolder.open(find_model_folder())
    used = {p.name for p in model.path.glob("*.onnx")} | {
        p.name for p in model.path.glob("*.safetensors")
    }
    assert used and used <= set(model.files)


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    shutil.move(folder / "tokenizer.json", outside)
    (folder / "tokenizer.json").symlink_to(outside)
    with pytest.raises(ModelFolderError, match="link out of the model folder"):
        ModelFolder.open(folder)


def policy() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "config" / "sros2_policy.xml").getroot()


@pytest.mark.parametrize(
    ("kind", "group", "permission"),
    [
        (READS, "topics", "subscribe"),
        (PUBLISHES, "topics", "publish"),
        (SERVICE, "services", "reply"),
        (ACTION, "actions", "execute"),
    ],
)
def test_the_sros2_policy_allows_what_the_node_has(
    kind: str, group: str, permission: str
) -> None:
    element = next(e for e in policy().iter("enclave") if e.get("path") == "/cooper")
    allowed = {
        (item.text or "").strip()
        for names in element.iter(group)
        if names.get(permission) == "ALLOW"
        for item in names
    }
    wanted = {spec.name.replace("~/", "cooper/").lstrip("/") for spec in INTERFACES
              if spec.kind == kind}  # fmt: skip
    assert wanted <= allowed, "write it anew with: python tools/render_policy.py"
