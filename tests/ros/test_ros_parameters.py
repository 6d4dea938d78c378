"""One table of parameters: docs/reference.md, the parameter file and the node follow it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cooper_ros.ros.parameters import (
    PARAMETERS,
    PARAMETERS_BEGIN,
    PARAMETERS_END,
    problem_with,
    render_markdown,
    render_yaml,
)

BY_NAME = {spec.name: spec for spec in PARAMETERS}


def test_the_reference_has_the_table(root: Path) -> None:
    page = (root / "docs" / "reference.md").read_text(encoding="utf-8")
    pattern = re.escape(PARAMETERS_BEGIN) + ".*?" + re.escape(PARAMETERS_END)
    section = re.search(pattern, page, re.DOTALL)
    assert section, "docs/reference.md has no parameter section"
    assert section.group(0) + "\n" == render_markdown(), (
        "write it anew with: python -m cooper_ros.ros.parameters"
    )


def test_the_parameter_file_holds_the_defaults(root: Path) -> None:
    text = (root / "config" / "cooper.yaml").read_text(encoding="utf-8")
    assert text == render_yaml()
    values = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert values == {spec.name: spec.default for spec in PARAMETERS}


@pytest.mark.parametrize("spec", PARAMETERS, ids=lambda spec: spec.name)
def test_every_parameter_is_explained_and_takes_its_default(spec) -> None:
    assert spec.description.endswith(".") and len(spec.description) > 20
    assert problem_with(spec, spec.default) == ""
    if type(spec.default) in (int, float):
        assert spec.minimum is not None and spec.maximum is not None, "numbers need a range"
        assert spec.name.endswith("_s") == ("[s]" in spec.description)


@pytest.mark.parametrize("spec", PARAMETERS, ids=lambda spec: spec.name)
def test_every_parameter_has_an_effect(spec, root: Path) -> None:
    """No dead options: each name is read somewhere besides the table."""
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in (root / "cooper_ros" / "ros").glob("*.py")
        if path.name != "parameters.py"
    )
    assert f'"{spec.name}"' in sources


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("queue_size", 0, "1 to 256"),
        ("queue_size", 2.0, "integer"),
        ("answer_timeout_s", float("nan"), "0.01 to 3600"),
        ("answer_timeout_s", -1.0, "0.01 to 3600"),
        ("mode", "magic", "auto, interleaved, maps, direct"),
        ("image_transport", "theora", "raw, compressed"),
        ("lazy", "yes", "bool"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(name, value, reason) -> None:
    assert reason in problem_with(BY_NAME[name], value)


def test_true_and_false_among_other_words_may_be_bools() -> None:
    """YAML and `-p rectified:=true` make a bool of it."""
    spec = BY_NAME["rectified"]
    for value in ("auto", "true", "false", True, False):
        assert problem_with(spec, value) == ""
    assert spec.plain(True) == "true" and spec.plain("auto") == "auto"
    assert "auto, true, false" in problem_with(spec, "yes")
    assert "bool" in problem_with(BY_NAME["lazy"], "true")
