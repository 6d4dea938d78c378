"""Running one node as a process: start, spin, and stop cleanly however often ctrl-C is pressed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.signals import SignalHandlerOptions

from cooper_ros.core import stopping
from cooper_ros.core.errors import RosError
from cooper_ros.ros import environment, shared_memory
from cooper_ros.ros.command_line import Program, help_text, wants_help, without_effect
from cooper_ros.ros.guard import GuardedExecutor

POLL_S = 0.1
"""How often the spinning thread looks for a signal [s]: python runs handlers between waits only."""

WRONG_USE = 2
NOT_TAKEN = (ParameterException, NameValidationException)
"""What a node raises for a parameter or name of the command line that it does not take."""
FAREWELL_S = 2.0
"""Longest time to send the replies of calls that were cancelled by the stop [s]. By the clock and
not by rounds: a round may go to a timer or a message, and every waiting client must hear."""

LINGER_S = 0.25


def start(program: Program, argv: Sequence[str] | None = None) -> int | None:
    """Initialise rclpy, without its signal handlers; or the exit code, where there is nothing to
    run: 0 after `--help`, 2 for wrong ROS arguments."""
    if wants_help(sys.argv if argv is None else argv):
        try:
            print(help_text(program), flush=True)
        except BrokenPipeError:  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    try:
        environment.start_ros(argv, signal_handler_options=SignalHandlerOptions.NO)
    except RosError as error:
        return refuse(error)
    if shared := shared_memory.problem():
        print(shared, file=sys.stderr)
    return None


def refuse(error: Exception) -> int:
    """Say why nothing starts; the exit code."""
    print(f"cannot start: {error}", file=sys.stderr)
    return WRONG_USE


def name_what_does_nothing(program: Program, argv: Sequence[str] | None, node: Any) -> None:
    """Warn, in the node's log, of everything on the command line that has no effect."""
    given = getattr(node, "_parameter_overrides", {})  # rclpy has no public way to them
    for sentence in without_effect(program, sys.argv if argv is None else argv, node, given):
        node.get_logger().warning(sentence)


def run(
    make_node: Callable[[], Any], program: Program, argv: Sequence[str] | None = None
) -> int:
    """Spin the node until SIGINT, SIGTERM, SIGHUP or a ROS shutdown; returns the exit code: 0
    after a stop, 2 for a parameter or name on the command line that the node does not take.

    Our own signal handlers instead of rclpy's: those close the context at once, and the replies to
    waiting clients could not be sent any more. Under `ros2 launch` ctrl-C arrives twice, from the
    terminal and from launch; the second one must not interrupt the clean-up.

    A node may have `close(timeout_s) -> bool` (False: a thread is still in foreign code) and
    `pending` (calls that still need the executor to send their reply).
    """
    stop = stopping.event()
    if (code := start(program, argv)) is not None:
        return code
    executor = GuardedExecutor()
    ended = True
    node = None
    try:
        node = make_node()
        name_what_does_nothing(program, argv, node)
        executor.add_node(node)
        _spin(executor, stop)
    except NOT_TAKEN as error:
        return refuse(error)
    finally:
        for number in stopping.SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            ended = _close(node, executor)
        rclpy.try_shutdown()
    if not ended:
        # The interpreter must not take down the inference engine under a thread that is in it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _spin(executor: GuardedExecutor, stop: threading.Event) -> None:
    try:
        while rclpy.ok() and not stop.is_set():
            executor.spin_once(timeout_sec=POLL_S)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass


def _say_farewell(node: Any, executor: GuardedExecutor) -> None:
    """Send the replies of calls that ended. The result of a goal goes out a round after it has
    ended, so spinning goes on until nothing has been pending for `LINGER_S`."""
    now = time.monotonic()
    deadline, quiet = now + FAREWELL_S, now
    while rclpy.ok() and now < min(deadline, quiet + LINGER_S):
        executor.spin_once(timeout_sec=0.02)
        now = time.monotonic()
        if node.pending:
            quiet = now


def _close(node: Any, executor: GuardedExecutor) -> bool:
    ended = bool(node.close(1.2)) if hasattr(node, "close") else True
    if getattr(node, "pending", False):
        _say_farewell(node, executor)
    executor.shutdown(timeout_sec=0.1)
    node.destroy_node()
    return ended
