"""The command `cooper`: quick to start, exit codes, errors for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cooper_ros import cli
from cooper_ros.core.errors import ModelFolderError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def subcommand(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A subcommand `probe` whose `run` a test replaces."""
    module = ModuleType("cooper_probe", "Probe the command line.")
    module.EXAMPLE = "cooper probe --number 3"
    module.add_arguments = lambda parser: parser.add_argument("--number", type=int, default=0)
    module.run = lambda args: args.number
    monkeypatch.setitem(sys.modules, "cooper_probe", module)
    monkeypatch.setitem(cli.SUBCOMMANDS, "probe", ("cooper_probe", "for this test"))
    return module


def test_the_exit_code_is_that_of_the_subcommand(subcommand: ModuleType) -> None:
    assert cli.main(["probe"]) == 0
    assert cli.main(["probe", "--number", "1"]) == 1


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["probe", "--nonsense"], ["probe", "--number", "x"]]
)
def test_wrong_use_is_2(subcommand: ModuleType, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2


def test_our_errors_are_one_line_on_stderr(
    subcommand: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(args: object) -> int:
        raise ModelFolderError("no model named 'x'")

    subcommand.run = fail
    assert cli.main(["probe"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "cooper probe: no model named 'x'\n"
    assert captured.out == ""
    monkeypatch.setenv("COOPER_DEBUG", "1")
    with pytest.raises(ModelFolderError):
        cli.main(["probe"])


def test_a_missing_package_is_named(
    subcommand: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(args: object) -> int:
        import a_package_nobody_has  # noqa: F401

        return 0

    subcommand.run = fail
    assert cli.main(["probe"]) == 1
    assert "'a_package_nobody_has'" in capsys.readouterr().err


def test_bugs_are_not_hidden(subcommand: ModuleType) -> None:
    def fail(args: object) -> int:
        return {}["bug"]

    subcommand.run = fail
    with pytest.raises(KeyError):
        cli.main(["probe"])


def test_every_subcommand_is_there_and_every_module_is_listed() -> None:
    listed = {module for module, _ in cli.SUBCOMMANDS.values()}
    there = {
        f"cooper_ros.cli.{path.stem}"
        for path in (ROOT / "cooper_ros/cli").glob("[!_]*.py")
        if "\ndef add_arguments(" in path.read_text()
    }
    assert listed == there


@pytest.mark.parametrize("name", cli.SUBCOMMANDS)
def test_help_shows_an_example_and_needs_no_torch(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for blocked in ("torch", "mujoco", "rclpy"):
        monkeypatch.setitem(sys.modules, blocked, None)
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "example" in shown.lower() and shown.count(f"cooper {name}") >= 2


def test_the_installed_command_starts_without_heavy_imports() -> None:
    program = (
        "import sys; from cooper_ros.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'torch', 'cv2', 'rclpy'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert all(name in run.stdout for name in cli.SUBCOMMANDS)
    installed = Path(sys.executable).with_name("cooper")
    shown = subprocess.run([installed, "--version"], capture_output=True, text=True)
    assert (shown.returncode, shown.stdout.split()[0]) == (0, "cooper_ros")
