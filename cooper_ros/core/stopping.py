"""What SIGINT, SIGTERM and SIGHUP do to a program, from its first moment to its last.

At first nothing is begun: the program ends at once (`end_at_once`), without a traceback out of some
import. Later it has children to end and files to close: the signal becomes `Stopped`, or an event.
Standard library only, because it is imported first.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PROGRAMS = ("cooper", "cooper_bag", "cooper_node", "cooper_sim_camera", "cooper_view")
"""Names of our executables, see pyproject.toml."""


AGAIN_S = 0.02


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end."""


def _set(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> dict[int, Any]:
    """Install a handler; returns those before. A program that was started with SIGHUP ignored
    (nohup) goes on ignoring it. Outside the main thread nothing can be installed."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    for number, old in before.items():
        if number != signal.SIGHUP or old != signal.SIG_IGN:
            signal.signal(number, handler)
    return before


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def is_program() -> bool:
    """Whether this process runs one of our executables, or a module of ours with `python -m`."""
    name = sys.argv[0] if sys.argv else ""
    if name == "-m":  # while Python looks for the module
        return any(word.startswith("cooper_ros.") for word in sys.orig_argv[1:])
    return os.path.basename(name) in PROGRAMS


def end_at_once() -> None:
    """Until something is begun: a signal ends the process, with a line for people who ran a
    command; a node ends as it does later on, with exit code 0."""
    command = os.path.basename(sys.argv[0]) == "cooper"

    def end(number: int, frame: FrameType | None) -> None:
        if command:
            os.write(2, b"cooper: interrupted\n")
        os._exit(int(command))

    _set(end)


@contextmanager
def raising() -> Iterator[Callable[[], bool]]:
    """Within it a signal raises Stopped in the main thread; yields "was there one?".

    Where a library swallows the exception (in a destructor), it is raised again.
    """
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        raise Stopped(signal.Signals(number).name)

    def again(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Stopped):
            # Not from here: what is raised in this hook is swallowed as well.
            threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGTERM)).start()
        else:
            hook(unraisable)

    before, hook = _set(stop), sys.unraisablehook
    sys.unraisablehook = again
    try:
        yield stopped.is_set
    finally:
        sys.unraisablehook = hook
        _restore(before)


@contextmanager
def ignoring() -> Iterator[None]:
    """Within it signals do nothing: what is owed is being written, a second ctrl-C must not end
    that half-way."""
    before = _set(signal.SIG_IGN)
    try:
        yield
    finally:
        _restore(before)


def ignore() -> None:
    """For the workers of a pool: ctrl-C and a lost terminal reach them too, but it is the main
    process that ends them (with SIGTERM)."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def event() -> threading.Event:
    """An event that every signal sets from now on."""
    stop = threading.Event()
    _set(lambda *_: stop.set())
    return stop


def close_pipe() -> None:
    """The reader of our output has gone: write the rest to nowhere, also at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError, AttributeError):
            try:
                os.dup2(nowhere, stream.fileno())
            except (OSError, ValueError, AttributeError):
                pass
    os.close(nowhere)
