"""A client process for the soak: asks one question after another, no two alike, until ctrl-C.

Every third one goes to the action `~/reason`, the others to the service `~/ask`.

python asker.py NAME PAUSE_S OUT.jsonl

Per question one line: what was asked, what came back, and how often a reply arrived.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from typing import Any

import rclpy
from builtin_interfaces.msg import Duration
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from cooper_ros.action import Reason
from cooper_ros.ros.environment import set_defaults
from cooper_ros.srv import AskSpatial

OBJECTS = {"a": ("chair", "table", "mug"), "b": ("shelf", "box", "plant")}
PHRASINGS = ("is the {} within {:.2f} m ?", "is the {} less than {:.2f} m away ?",
             "can you reach the {} within {:.2f} m ?")  # fmt: skip
TIMEOUT_S = 10
LOST_S = 60.0
"""No reply after this long: it will not come any more."""


def question(name: str, number: int) -> str:
    """Question `number` of a client: 3 objects, 3 phrasings and 2000 radii without repetition."""
    objects = OBJECTS[name]
    kind, radius = number % (len(objects) * len(PHRASINGS)), number // 9
    return PHRASINGS[kind // len(objects)].format(
        objects[kind % len(objects)], 0.01 + (radius % 2000) * 0.01
    )


def ask(client: Any, action: ActionClient, text: str, by_action: bool, replies: list[Any]) -> None:
    """Send a question; whatever comes back is appended to `replies`, however often it comes."""

    def receive(future: Any) -> None:
        replies.append(future.result())

    timeout = Duration(sec=TIMEOUT_S)
    if not by_action:
        client.call_async(AskSpatial.Request(question=text, timeout=timeout)).add_done_callback(
            receive
        )
        return

    def follow(future: Any) -> None:
        future.result().get_result_async().add_done_callback(
            lambda result: replies.append(result.result().result)
        )

    goal = Reason.Goal(question=text, timeout=timeout)
    action.send_goal_async(goal, feedback_callback=lambda _: None).add_done_callback(follow)


def main() -> int:
    stop = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: stop.set())
    name, pause_s, path = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    set_defaults()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node(f"soak_asker_{name}")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    client = node.create_client(AskSpatial, "cooper/ask")
    action = ActionClient(node, Reason, "cooper/reason")
    while not (client.service_is_ready() and action.server_is_ready()) and not stop.is_set():
        executor.spin_once(timeout_sec=0.1)
    number = 0
    with open(path, "w", encoding="utf-8", buffering=1) as out:
        while not stop.is_set():
            text = question(name, number)
            by_action = number % 3 == 2
            replies: list[Any] = []
            started = time.monotonic()
            ask(client, action, text, by_action, replies)
            while not replies and time.monotonic() - started < LOST_S:
                executor.spin_once(timeout_sec=0.2)
            answer = replies[0].answer if replies else None
            line = {
                "question": text,
                "by": "action" if by_action else "service",
                "replies": len(replies),
                "echo": answer.question if answer else None,
                "status": int(answer.status) if answer else None,
                "message": answer.message if answer else "",
                "took_s": round(time.monotonic() - started, 4),
            }
            out.write(json.dumps(line) + "\n")
            number += 1
            stop.wait(pause_s)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
