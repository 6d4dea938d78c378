"""Times a running node as its clients see it: `python -m cooper_ros.evaluation.asking [--json]`.

Direct and reasoned answer, further questions about the same image, cancelling, and several clients
at once, over the action `~/reason`. The node and a camera must be running (`sim.launch.py`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cooper_ros.core.types import Status
from cooper_ros.ros.client import CooperClient
from cooper_ros.ros.reason_client import ReasonState

QUESTION = "how far is the table ?"
MORE = "how far is the chair ?"
PATIENT_S = 60.0


def measure(node: str, runs: int, clients: int) -> dict[str, Any]:
    """Medians [ms] over `runs`, and how `clients` fared that asked `runs` questions each."""
    with CooperClient(node, name="asking_bench") as cooper:
        if not cooper.wait_until_active():
            raise SystemExit(f"the node {node!r} is not active: start it, and a camera, before")
        cooper.ask(QUESTION, timeout_s=PATIENT_S)  # warm
        rounds = [_one_round(cooper) for _ in range(runs)]
        figures = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        cancels = [ms for ms in (_cancel(cooper) for _ in range(runs)) if ms is not None]
    if cancels:
        figures["cancel_ms"] = statistics.median(cancels)
        figures["cancel_worst_ms"] = max(cancels)
    return {**figures, "cancelled": len(cancels), "runs": runs, **_together(node, runs, clients)}


def _one_round(cooper: CooperClient) -> dict[str, float]:
    """One image: its first goal, and the tenth question about it."""
    started = time.monotonic()
    direct_ms = float("nan")
    with cooper.reason(QUESTION, timeout_s=PATIENT_S) as goal:
        for progress in goal:
            if progress.direct is not None and direct_ms != direct_ms:
                direct_ms = _since(started)
        first = goal.result().answer
    reasoned_ms = _since(started)
    for _ in range(9):
        started = time.monotonic()
        cooper.ask(MORE, about=first, timeout_s=PATIENT_S)
    return {"direct_ms": direct_ms, "reasoned_ms": reasoned_ms, "tenth_ms": _since(started)}


def _cancel(cooper: CooperClient) -> float | None:
    """From the wish to cancel a goal that is being thought about to its result [ms]; None when the
    answer was quicker."""
    with cooper.reason(QUESTION, timeout_s=PATIENT_S) as goal:
        for progress in goal:
            if progress.state >= ReasonState.THINKING:
                break
        started = time.monotonic()
        goal.cancel()
        status = goal.result().answer.status
    return _since(started) if status is Status.CANCELED else None


def _together(node: str, runs: int, clients: int) -> dict[str, Any]:
    """Answers per client and statuses, all asking at once, one question after another."""
    answered: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    guard = threading.Lock()
    started = time.monotonic()
    makers = [CooperClient(node, name=f"asking_bench_{number}") for number in range(clients)]

    def ask(number: int, cooper: CooperClient) -> None:
        for _ in range(runs):
            answer = cooper.ask(MORE, timeout_s=PATIENT_S)
            with guard:
                statuses[answer.status.name.lower()] += 1
                answered[str(number)] += answer.status is not Status.BUSY

    threads = [
        threading.Thread(target=ask, args=(number, cooper)) for number, cooper in enumerate(makers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    for cooper in makers:
        cooper.close()
    return {
        "clients": clients,
        "statuses": dict(statuses),
        "answered_fewest": min(answered.values()),
        "answered_most": max(answered.values()),
        "questions_per_s": clients * runs / seconds,
    }


def _since(started: float) -> float:
    return 1e3 * (time.monotonic() - started)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("--node", default="cooper", help="name of the node (default: cooper)")
    parser.add_argument("--runs", type=int, default=10, help="repetitions (default: 10)")
    parser.add_argument("--clients", type=int, default=8, help="clients at once (default: 8)")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    args = parser.parse_args(argv)
    figures = measure(args.node, max(args.runs, 1), max(args.clients, 1))
    for name, value in figures.items():
        print(f"{name:18} {value:.1f}" if isinstance(value, float) else f"{name:18} {value}")
    if args.json:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
