"""Simulated camera, perception node and questions, all at once.

Starts the camera and the node as two processes that talk over DDS, waits for depth, asks a question
of every kind about what is really in view, prints every answer beside the true value and how far
all of them are off, and saves one picture. View and questions are chosen from the simulator's truth
alone. Ends by itself; the exit code is 0 only when at least four questions were answered.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cooper_ros.cli.demo_questions import DemoQuestion
    from cooper_ros.cli.demo_verdict import Verdict
    from cooper_ros.core.types import SpatialAnswer
    from cooper_ros.ros.examiner import Examiner, Observed

EXAMPLE = "cooper demo --seed 3 --json"
NEEDED = 4
ANSWERED = ("OK", "AMBIGUOUS", "NOT_VISIBLE", "DISAGREES")
"""Statuses with which the model itself has answered; "none" is an answer, a time-out is not."""

DEPTH_MESSAGES = 16


class DemoError(RuntimeError):
    """The demo cannot go on; the text is for people."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--seed", type=_seed, default=0, help="which world and view (default 0)")
    parser.add_argument("--json", action="store_true", help="last line: everything as JSON")
    parser.add_argument("--model", default="cooper-nano", help="model folder, name or path")
    parser.add_argument(
        "--questions", type=int, default=0, help="how many to ask (default: one of every kind)"
    )
    parser.add_argument("--picture", type=Path, help="file for the picture (PNG or JPEG)")
    parser.add_argument("--domain", type=int, help="ROS domain (default: one of its own)")
    parser.add_argument(
        "--patience", type=float, default=120.0, help="longest wait for the first depth [s]"
    )


def _seed(text: str) -> int:
    """A whole number that a ROS parameter holds."""
    seed = int(text)
    if not -(2**63) <= seed < 2**63:
        raise argparse.ArgumentTypeError(f"{text} does not fit into 64 bits")
    return seed


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    from cooper_ros.cli.demo_verdict import in_words
    from cooper_ros.cli.processes import ProcessEnded, running, use_private_domain

    use_private_domain(args.domain)
    picture = args.picture or Path("outputs") / f"demo_seed{args.seed}.png"
    try:
        with running(_commands(args)) as alive:
            report = _Demo(args, alive, picture).run()
    except (DemoError, ProcessEnded) as error:
        print(f"cooper demo: {error}", file=sys.stderr)
        if args.json:
            print(json.dumps({"answers": [], "error": str(error)}))
        return 1
    answered = sum(answer["status"] in ANSWERED for answer in report["answers"])
    print(f"\n{answered} of {len(report['answers'])} questions answered; "
          f"depth at {report['depth_hz']:.1f} Hz; picture: {report['picture']}")  # fmt: skip
    print(in_words(report["summary"]))
    if args.json:
        print(json.dumps(report))
    return 0 if answered >= NEEDED else 1


def _commands(args: argparse.Namespace) -> dict[str, list[str]]:
    return {
        # The camera builds its world first; that it is silent meanwhile is no news.
        "node": ["cooper_ros.ros.node", "--ros-args", "-p", f"model:={args.model}",
                 "-p", "no_image_warning_s:=30.0"],
        "camera": ["cooper_ros.ros.sim_camera", "--ros-args", "-p", f"seed:={args.seed}",
                   "-p", "hold:=true"],
    }  # fmt: skip


class _Demo:
    def __init__(self, args: argparse.Namespace, alive: Any, picture: Path) -> None:
        self._args, self._alive, self._picture = args, alive, picture

    def run(self) -> dict[str, Any]:
        from cooper_ros.cli.demo_verdict import summarise
        from cooper_ros.ros.client import CooperClient
        from cooper_ros.ros.examiner import Examiner

        with CooperClient(name="cooper_demo") as client:
            examiner = Examiner()
            try:
                print(f"world {self._args.seed}: starting camera and node ...", file=sys.stderr)
                seen = self._first_view(examiner, client)
                depth_hz = self._depth_rate(examiner)
                asked = [self._ask(client, question) for question in self._questions(seen)]
                answers = [row for row, _ in asked]
                summary = summarise([v for _, v in asked], [row["status"] for row in answers])
                self._save(seen, answers, summary)
            finally:
                examiner.close()
        return {
            "answers": answers,
            "summary": summary,
            "depth_hz": depth_hz,
            "picture": str(self._picture.resolve()),
            "seed": self._args.seed,
        }

    def _first_view(self, examiner: Examiner, client: Any) -> Observed:
        """The first image with everything that was made of it."""
        from cooper_ros.core.types import Status
        from cooper_ros.ros.examiner import SEEN

        deadline = time.monotonic() + self._args.patience
        while not client.wait_until_active(timeout_s=2.0):
            self._alive()
            # The node starts by itself; one that replies and is not active could not.
            reply = client.ask("is there a door ?", timeout_s=1.0)
            if reply.status is Status.ERROR:
                raise DemoError(reply.message)
            if time.monotonic() > deadline:
                raise DemoError(f"the node was not ready within {self._args.patience:g} s")
        seen = examiner.wait_for(
            lambda: examiner.newest(*SEEN), self._args.patience, self._alive
        )
        if seen is None:
            reason = client.ask("is there a door ?", timeout_s=2.0).message
            raise DemoError(f"no depth within {self._args.patience:g} s: {reason}")
        return seen

    def _depth_rate(self, examiner: Examiner) -> float:
        """Depth messages per second while nobody asks."""
        start = len(examiner.depth_times)
        examiner.wait_for(
            lambda: len(examiner.depth_times) > start + DEPTH_MESSAGES, 20.0, self._alive
        )
        times = examiner.depth_times[start:]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else math.nan

    def _questions(self, seen: Observed) -> list[DemoQuestion]:
        from cooper_ros.cli.demo_questions import Visible, choose_questions

        assert seen.truth is not None
        visible = [Visible.from_truth(item) for item in seen.truth["objects"]]
        width = seen.arrays["image"].shape[1]
        return choose_questions(visible, seen.truth["free_space"], width, self._args.questions)

    def _ask(self, client: Any, question: DemoQuestion) -> tuple[dict[str, Any], Verdict]:
        from cooper_ros.cli.demo_verdict import judge

        self._alive()
        started = time.monotonic()
        answer: SpatialAnswer = client.ask(question.text, timeout_s=30.0)
        seconds = time.monotonic() - started
        verdict = judge(question, answer)
        print(_describe(question, answer, verdict))
        row = {
            "question": question.text,
            "text": answer.text,
            "value": _number(answer.value),
            "unit": answer.unit,
            "truth": question.truth,
            "right": verdict.right,
            "error": verdict.error,
            "measured": _number(answer.measured),
            "agree": answer.agree,
            "status": answer.status.name,
            "message": answer.message,
            "seconds": round(seconds, 3),
        }
        return row, verdict

    def _save(
        self, seen: Observed, answers: list[dict[str, Any]], summary: dict[str, Any]
    ) -> None:
        from cooper_ros.cli.demo_picture import Row, make_picture, save_picture
        from cooper_ros.cli.demo_verdict import in_words

        rows = [
            Row(item["question"].replace(" ?", "?").replace(" ,", ","),
                _said(item["status"], item["text"]),
                _truth(item["truth"], item["unit"]), item["right"])
            for item in answers
        ]  # fmt: skip
        self._picture.parent.mkdir(parents=True, exist_ok=True)
        arrays = seen.arrays
        picture = make_picture(
            arrays["image"], arrays["depth"], arrays["overlay"], rows, in_words(summary)
        )
        save_picture(str(self._picture), picture)


def _number(value: float) -> float | None:
    """JSON has no NaN: unknown is null."""
    return value if math.isfinite(value) else None


def _said(status: str, text: str) -> str:
    """What was answered, or why not."""
    if status == "DISAGREES":
        return "maps disagree"
    return text if status == "OK" else status.lower().replace("_", " ")


def _truth(truth: float | str, unit: str) -> str:
    if isinstance(truth, str):
        return truth
    return f"{truth:.2f} m" if unit == "m" else f"{truth:g}"


def _describe(question: DemoQuestion, answer: SpatialAnswer, verdict: Verdict) -> str:
    mark = {True: "+", False: "-", None: " "}[verdict.right]
    said = _said(answer.status.name, answer.text)
    true = _truth(question.truth, question.unit)
    parts = [f"{mark} {question.text:<46} {said:<12} true {true}"]
    if verdict.error is not None:
        parts.append(f"off by {100 * verdict.error:.0f} %")
    if math.isfinite(answer.measured):
        maps = f"{answer.measured:.2f}" if question.unit else f"{answer.measured:g}"
        parts.append(f"on the maps {maps}, {'agrees' if answer.agree else 'differs'}")
    if answer.status.name != "OK" and answer.message:
        parts.append(answer.message)
    return ", ".join(parts)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    add_arguments(options)
    sys.exit(run(options.parse_args()))
