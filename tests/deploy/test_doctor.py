"""`cooper doctor` on machines that are not in order."""

from __future__ import annotations

import importlib.metadata
import json
from collections import namedtuple
from pathlib import Path

import pytest

from cooper_ros import cli
from cooper_ros.cli import doctor as command
from cooper_ros.deploy import doctor
from cooper_ros.deploy.doctor import Check, Verdict, guarded


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_check_that_breaks_is_a_failed_check() -> None:
    def bent() -> list[Check]:
        raise OSError("no such sensor")

    good = Check("a", "good", Verdict.OK, "x")
    assert guarded("a", (bent, lambda: [good])) == [
        Check("a", "bent", Verdict.FAIL, "OSError: no such sensor"), good,
    ]  # fmt: skip


def test_what_is_not_good_comes_with_advice() -> None:
    checks = doctor.machine_checks() + doctor.package_checks() + doctor.shared_files()
    assert {"system", "memory", "disk", "python", "numpy", "opencv"} <= set(by_name(checks))
    for check in checks:
        assert check.found
        assert check.advice or check.verdict in (Verdict.OK, Verdict.INFO), check


def test_wrong_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {
        "tensorrt": "10.3.0.30", "opencv-python": "4.9", "opencv-python-headless": "4.9",
        "numpy": "2.2",
    }  # fmt: skip

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = by_name(doctor.package_checks())
    assert found["tensorrt"].verdict is Verdict.WARN and "wrong depth" in found["tensorrt"].advice
    assert found["opencv"].verdict is Verdict.WARN and "overwrite" in found["opencv"].advice
    assert found["tokenizers"].verdict is Verdict.FAIL
    assert found["numpy"].verdict is Verdict.OK
    assert found["torch"].verdict is Verdict.INFO
    assert "robots do not need it" in found["torch"].advice
    versions["tensorrt"] = "10.13.1"
    found = by_name(doctor.package_checks())
    assert found["tensorrt"].verdict is Verdict.OK
    assert "never executed on a device" in found["engines"].found


def test_a_full_disk_and_little_memory_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 2**20))
    real = Path.read_text

    def read(self: Path, *arguments: object, **options: object) -> str:
        if str(self) == "/proc/meminfo":
            return "MemTotal: 4096000 kB\nMemAvailable: 204800 kB\n"
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read)
    found = by_name(doctor.machine_checks())
    assert found["disk"].verdict is Verdict.WARN and found["disk"].found.startswith("1 MiB")
    assert found["memory"].verdict is Verdict.WARN and "200 of 4000 MiB" in found["memory"].found


def test_the_shipped_model_is_in_order() -> None:
    found = by_name(doctor.model_checks("cooper-nano"))
    assert found["folder"].verdict is Verdict.OK
    assert found["self-test"].verdict is Verdict.OK and "onnxruntime" in found["self-test"].found


def test_a_damaged_model_fails(tmp_path: Path, root: Path) -> None:
    import shutil

    folder = tmp_path / "nano"
    shutil.copytree(root / "engines" / "cooper-nano", folder)
    (folder / "tokenizer.json").write_text("{}")
    (check,) = doctor.model_checks(str(folder))
    assert check.verdict is Verdict.FAIL and "tokenizer.json" in check.found
    (check,) = doctor.model_checks("no-such-model")
    assert check.verdict is Verdict.FAIL and "cooper-nano" in check.found


@pytest.mark.parametrize("failed", [False, True])
def test_the_command_reports_and_says_by_its_code(
    failed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [Check("model", "folder", Verdict.FAIL if failed else Verdict.WARN, "bent", "do this")]
    monkeypatch.setattr(command, "collect", lambda model, node, quick: checks)
    assert cli.main(["doctor", "--json"]) == int(failed)
    out = capsys.readouterr().out
    assert "bent" in out and "-> do this" in out
    report = json.loads(out.splitlines()[-1])
    assert report["failed"] == int(failed) and report["checks"][0]["advice"] == "do this"
