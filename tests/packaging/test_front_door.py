"""README, docs and the pages beside them: short, linked, listed, and true where a test can tell."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest
import yaml

import cooper_ros

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [
    *ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("engines/*/README.md"),
    ROOT / "assets" / "NOTICE.md", ROOT / "cooper_ros" / "sim" / "README.md",
]  # fmt: skip
NAMED = ("AGENTS.md", "CONTRIBUTING.md", "SECURITY.md", "QUALITY_DECLARATION.md")
RECIPES = ("A parameter", "A family", "A backend", "A map modality")
TOP = ("cooper_ros/", "tests/", "docs/", "tools/", "config/", "engines/", "msg/", ".ci/", "assets/")


def name_of(path: Path) -> str:
    """A path as people write it."""
    return str(path.relative_to(ROOT))


@lru_cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that a forge makes of a page's headings."""
    headings = re.findall(r"^#{1,6} (.+)$", page.read_text("utf-8"), re.M)
    return frozenset(re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings)


def dead_links(page: Path, text: str) -> list[str]:
    """Relative links of a page that lead nowhere."""
    dead = []
    prose = re.sub(r"```.*?```|`[^`\n]+`", "", text, flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 7000


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page, page.read_text("utf-8")) == []


def test_a_dead_link_is_found() -> None:
    page = ROOT / "README.md"
    text = "[a](docs/nowhere.md) [b](docs/install.md#nothing) [c](docs/install.md#installing)"
    assert dead_links(page, text) == ["docs/nowhere.md", "docs/install.md#nothing"]


def test_the_index_lists_every_page() -> None:
    index = (DOCS / "index.md").read_text("utf-8")
    pages = {page.name for page in DOCS.glob("*.md")} - {"index.md"}
    assert pages - set(re.findall(r"\]\(([\w.-]+\.md)\)", index)) == set()


@pytest.mark.parametrize("name", NAMED)
def test_files_that_are_named_exist(name: str) -> None:
    """Where code moves, its recipe moves along."""
    quoted = re.findall(r"`([\w./-]+)`", (ROOT / name).read_text("utf-8"))
    files = [q for q in quoted if q.startswith(TOP)]
    rooms = [q for q in quoted if re.fullmatch(r"\w+/[\w/]+\.py", q) and not q.startswith(TOP)]
    assert [f for f in files if not (ROOT / f).exists()] == []
    assert [r for r in rooms if not (ROOT / "cooper_ros" / r).is_file()] == []


def test_names_in_the_recipes_are_in_the_sources() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    sources = "".join(p.read_text("utf-8") for p in (ROOT / "cooper_ros").rglob("*.py"))
    sources += (ROOT / "tests" / "reasoning" / "test_drafts.py").read_text("utf-8")
    names = set(re.findall(r"`([A-Z_]{4,}|[A-Z][a-z]+\w+|_?[a-z]+_[a-z_]+)`", text)) - {"make_test"}
    assert {"PARAMETERS", "ParameterSpec", "FAMILIES", "Backend", "MapKind"} <= names
    assert [n for n in sorted(names) if not re.search(rf"\b{n}\b", sources)] == []


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_has_five_steps(title: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.split(f"## {title}")[1].split("\n## ")[0]
    assert re.findall(r"^(\d)\. ", section, re.M) == list("12345")


def test_the_readmes_python_is_python_that_we_have() -> None:
    from cooper_ros.core.types import SpatialAnswer, Status

    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    tree = ast.parse(code)
    assert len([line for line in code.splitlines() if line]) <= 10
    client = ast.parse((ROOT / "cooper_ros" / "ros" / "client.py").read_text("utf-8"))
    methods = {n.name for n in ast.walk(client) if isinstance(n, ast.FunctionDef)}
    has = {"cooper": methods, "answer": set(SpatialAnswer.__dataclass_fields__),
           "Status": set(Status.__members__)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr in has[node.value.id], f"{node.value.id}.{node.attr}"


def test_figures_of_the_limits_are_those_of_the_evaluation() -> None:
    limits = README.split("## Limits")[1].split("\n## ")[0]
    rows = re.findall(r"^\| [^|-].*\|$", limits, re.M)[1:]
    assert len(rows) == 6
    page = (DOCS / "evaluation.md").read_text("utf-8")
    figures = re.findall(r"\d\.\d+|\d+ %", "\n".join(rows))
    assert len(figures) >= 8
    assert [f for f in figures if not re.search(rf"(?<![\d.]){re.escape(f)}", page)] == []


def test_the_version_is_written_once() -> None:
    """In the package; package.xml, which ROS reads, and the changelog follow; nobody else."""
    version = cooper_ros.__version__
    newest = re.search(r"^(\d+\.\d+\.\d+)\b.*\n-+$", (ROOT / "CHANGELOG.rst").read_text(), re.M)
    assert newest and newest[1] == version
    assert f"<version>{version}</version>" in (ROOT / "package.xml").read_text()
    assert not re.search(r"^version *[=:]", (ROOT / "CITATION.cff").read_text(), re.M)
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project and f'version = "{version}"' not in project
    writers = [
        path
        for path in [*(ROOT / "cooper_ros").rglob("*.py"), ROOT / "setup.py",
                     ROOT / "CMakeLists.txt"]
        if f'"{version}"' in path.read_text("utf-8")
    ]  # fmt: skip
    assert [name_of(path) for path in writers] == ["cooper_ros/__init__.py"]


def test_the_citation_is_the_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    paper = citation["preferred-citation"]
    assert citation["license"] == "Apache-2.0" and len(paper["authors"]) == 11
    assert paper["title"] in README and paper["url"] in README
    for author in paper["authors"]:
        name = f"{author['family-names']}, {author['given-names']}"
        assert name in README.replace("\n             ", " "), name


@pytest.mark.parametrize("folder", sorted(ROOT.glob("engines/*/")), ids=name_of)
def test_every_model_says_whether_it_may_be_sold(folder: Path) -> None:
    import json

    card = (folder / "README.md").read_text("utf-8")
    section = card.split("## May I use the weights commercially?\n")[1]
    assert re.match(r"\s*\*\*(Yes|No)\b", section)
    assert json.loads((folder / "manifest.json").read_text())["licence"] in section


def test_pre_commit_runs_what_ci_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert all(repo["repo"] == "local" for repo in config["repos"])
    recipe = (ROOT / "Makefile").read_text().split("\nlint: ")[1].split("\n\n")[0]
    lint = re.findall(r"^\t\$\(VENV\)/(.+)$", recipe, re.M)
    pushed = [hook["entry"] for hook in hooks if hook.get("stages") == ["pre-push"]]
    assert [f".venv/{command}" for command in lint] == [
        hook["entry"] for hook in hooks if "stages" not in hook
    ]
    assert pushed == [".ci/run"] and (ROOT / ".ci" / "run").is_file()


def test_every_point_of_level_3_is_answered() -> None:
    page = (ROOT / "QUALITY_DECLARATION.md").read_text("utf-8")
    for point in ("1.i", "1.ii", "1.iii", "1.iv", "1.v", "1.vi", "2.i", "2.ii", "3.i", "3.ii",
                  "3.iii", "5.i", "6.i"):  # fmt: skip
        assert re.search(rf"^\| {re.escape(point)} .+\| .+ \| .+ \|$", page, re.M), point
    assert "QUALITY_DECLARATION.md" in README
