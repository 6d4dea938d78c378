"""The command `cooper`: one subcommand per module of this folder, imported only when used.

A subcommand's module defines `add_arguments(parser)`, `run(args) -> int`, a docstring that becomes
the description in its `--help`, and an example: `EXAMPLE`, a command line, or an epilog of its own.
Exit codes: 0 it worked, 1 it did not, 2 it was used wrongly.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from cooper_ros import __version__
from cooper_ros.core import stopping
from cooper_ros.core.errors import CooperError
from cooper_ros.start import advice, missing_package

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from types import ModuleType

# name -> (module, one line for `cooper --help`)
ON_A_ROBOT: dict[str, tuple[str, str]] = {
    "demo": ("cooper_ros.cli.demo", "simulated camera, node and questions, all at once"),
    "view": ("cooper_ros.cli.view", "a web page with camera, depth, segmentation and questions"),
    "bag": ("cooper_ros.cli.bag", "record, play and ask about bags without `ros2 bag`"),
    "doctor": ("cooper_ros.cli.doctor", "what works on this machine, and what to do"),
    "perceive": ("cooper_ros.cli.perceive", "depth and segmentation of one image file"),
    "ask": ("cooper_ros.cli.ask", "ask a question about one image file"),
    "bench": ("cooper_ros.cli.bench", "measure speed and memory on this machine"),
    "engine": ("cooper_ros.cli.engine", "build and list engines for this device"),
}
FOR_MODELS: dict[str, tuple[str, str]] = {
    "eval": ("cooper_ros.cli.eval", "score a model on unseen scenes"),
    "data": ("cooper_ros.cli.data", "make training data"),
    "train": ("cooper_ros.cli.train", "train a model"),
    "export": ("cooper_ros.cli.export", "turn a checkpoint into a model folder for robots"),
    "conformance": ("cooper_ros.cli.conformance", "compare a model with reference arrays"),
}
SUBCOMMANDS = {**ON_A_ROBOT, **FOR_MODELS}


def _overview() -> argparse.ArgumentParser:
    import argparse

    def listed(title: str, commands: dict[str, tuple[str, str]]) -> list[str]:
        return [title, *(f"  {name.ljust(width)}  {text}" for name, (_, text) in commands.items())]

    width = max(map(len, SUBCOMMANDS))
    lines = listed("on a robot or a laptop:", ON_A_ROBOT)
    lines += ["", *listed("to make and judge models:", FOR_MODELS)]
    parser = argparse.ArgumentParser(
        prog="cooper",
        description="Depth, segmentation and spatial answers from one camera.",
        epilog="\n".join(lines) + "\n\nexample: cooper demo --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cooper_ros {__version__}")
    parser.add_argument("subcommand", metavar="SUBCOMMAND", choices=SUBCOMMANDS, help="see below")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="its own arguments, see SUBCOMMAND --help"
    )
    return parser


def _parser_of(name: str, module: ModuleType) -> argparse.ArgumentParser:
    import argparse

    parser = argparse.ArgumentParser(
        prog=f"cooper {name}",
        description=(module.__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if hasattr(module, "EXAMPLE"):
        parser.epilog = f"example:\n  {module.EXAMPLE}"
    module.add_arguments(parser)
    return parser


def _complete() -> None:
    """Answer a shell that asks what may stand at its cursor; ends the process.

    Without argcomplete (`eval "$(register-python-argcomplete cooper)"` in the shell) nobody asks.
    """
    import argparse
    import importlib

    import argcomplete

    parser = argparse.ArgumentParser(prog="cooper")
    commands = parser.add_subparsers()
    words = os.environ.get("COMP_LINE", "").split()
    for name, (module, text) in SUBCOMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name in words[1:2]:  # the others' modules cost time and are not asked for
            importlib.import_module(module).add_arguments(command)
    argcomplete.autocomplete(parser)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code.

    Wrong use exits with SystemExit(2), as argparse does. Errors of this package are for people
    and are printed without traceback (COOPER_DEBUG=1 shows it); anything else is a bug and
    raises. Stopped by SIGINT, SIGTERM or SIGHUP, or with nobody left who reads the output: 1,
    after children were ended and files closed.
    """
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    name = ["cooper"]

    def action() -> int:
        chosen = _overview().parse_args(argv)
        name[0] = f"cooper {chosen.subcommand}"
        return _run(chosen)

    return until_stopped(lambda: name[0], action)


def until_stopped(name: Callable[[], str], action: Callable[[], int]) -> int:
    """Its exit code; 1, with a line of `name`, if a signal or a closed pipe ends it."""
    with stopping.raising() as stopped:
        try:
            try:
                return action()
            finally:  # also after `--help`: at exit, nobody could catch the error of a closed pipe
                sys.stdout.flush()
        except (BrokenPipeError, KeyboardInterrupt) as error:
            return _ended_early(name(), error)
        except BaseException as error:
            if not stopped():
                raise
            return _ended_early(name(), error)  # whatever the signal became on its way


def _ended_early(name: str, error: BaseException) -> int:
    """A reader that has gone needs no message."""
    with stopping.ignoring():
        stopping.close_pipe()
        if not isinstance(error, BrokenPipeError):
            try:
                print(f"{name}: interrupted", file=sys.stderr, flush=True)
            except OSError:  # the terminal has gone too
                pass
    return 1


def _run(chosen: argparse.Namespace) -> int:
    import importlib

    try:
        module = importlib.import_module(SUBCOMMANDS[chosen.subcommand][0])
        parser = _parser_of(chosen.subcommand, module)
        return int(module.run(parser.parse_args(chosen.arguments)) or 0)
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as error:
        name = missing_package(error)
        if not name:
            raise
        print(
            f"cooper {chosen.subcommand}: needs the Python package {name!r}, which is not "
            f"installed: {advice(name)}",
            file=sys.stderr,
        )
        return 1
    except (CooperError, FileNotFoundError) as error:
        if os.environ.get("COOPER_DEBUG"):
            raise
        print(f"cooper {chosen.subcommand}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
