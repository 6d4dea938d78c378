"""Ask a question about one image file; the answer is also measured on the maps.

Exit code 0 when there is an answer to act on, 1 when not (the status and message say why).
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from cooper_ros.cli.images import add_image_arguments, finite, picture_notes, read_frame

if TYPE_CHECKING:
    from cooper_ros.core.types import SpatialAnswer
    from cooper_ros.runtime.events import Event

EXAMPLE = 'cooper ask kitchen.jpg "how far is the mug?" --intrinsics 554,554,320,240'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper ask`."""
    add_image_arguments(parser)
    parser.add_argument("question", metavar="QUESTION", help='for example "how far is the mug?"')
    parser.add_argument(
        "--mode",
        choices=("interleaved", "maps", "direct"),
        default="interleaved",
        help="think and ask for maps; start with both maps; or the image alone",
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="a direct answer first, then the thoughts as they are written, and the maps",
    )
    parser.add_argument("--trace", action="store_true", help="show the thoughts and the maps")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Ask and print the answer."""
    from dataclasses import replace

    from cooper_ros.core.types import SpatialAnswer, Status
    from cooper_ros.runtime.events import Unmeasured
    from cooper_ros.runtime.pipeline import CooperPipeline

    frame = read_frame(args.image, args.intrinsics)
    pipeline = CooperPipeline.open(args.model, args.backend, args.threads)
    context = pipeline.see(frame)
    stream = Stream() if args.stream else None
    if stream is not None and args.mode != "direct":
        for event in context.ask(args.question, "direct"):
            if isinstance(event, Unmeasured):
                stream.first_sight(event.answer)
                break  # the maps that it would be measured on come with the reasoning
    answer: SpatialAnswer | None = None
    for event in context.ask(args.question, args.mode):
        if isinstance(event, SpatialAnswer):
            answer = event
        elif stream is not None:
            stream.show(event)
        elif args.trace:
            _show(event)
    assert answer is not None
    notes = picture_notes(frame)
    if notes:
        message = "; ".join(filter(None, (answer.message, *notes)))
        answer = replace(answer, message=message)
    if args.json:
        print(json.dumps(to_dict(answer)))
    else:
        _print(answer)
    return 0 if answer.status is Status.OK else 1


def to_dict(answer: SpatialAnswer) -> dict[str, Any]:
    """The answer for json; NaN becomes null, enums become lower-case names."""
    numbers = (
        "value", "measured", "low", "high", "measured_low", "measured_high", "confidence",
        "seconds",
    )  # fmt: skip
    return {
        "question": answer.question,
        "kind": answer.kind.name.lower(),
        "status": answer.status.name.lower(),
        "text": answer.text,
        "unit": answer.unit,
        "agree": answer.agree,
        "checked": answer.checked,
        "answered_by": answer.answered_by.name.lower(),
        "question_understood": answer.question_understood,
        "memory_age": answer.memory_age_s,
        **{name: finite(getattr(answer, name)) for name in numbers},
        "objects": [
            {
                "label": item.label,
                "box": list(item.box),
                "distance_m": finite(item.distance_m),
                "position": [finite(value) for value in item.position],
                "source": item.source,
            }
            for item in answer.objects
        ],
        "trace": [
            {"type": step.type.name.lower(), "text": step.text, "seconds": finite(step.seconds)}
            for step in answer.trace
        ],
        "scale_source": answer.scale_source.name.lower(),
        "model_id": answer.model_id,
        "message": answer.message,
    }


class Stream:
    """Prints what is written when it is written, each character once."""

    def __init__(self) -> None:
        self._turn, self._shown = 0, 0

    def first_sight(self, answer: SpatialAnswer) -> None:
        """The direct answer, and how long it took."""
        note = "" if answer.checked else ", not checked yet"
        text = answer.text or "no answer"
        print(f"at first sight: {text} ({answer.seconds:.2f} s{note})", flush=True)

    def show(self, event: Event) -> None:
        """The new part of a turn's text, or that a map was drawn."""
        from cooper_ros.runtime.events import MapReady, TurnText

        if isinstance(event, TurnText):
            if event.turn != self._turn:
                self._turn, self._shown = event.turn, 0
            end = "\n" if event.done else ""
            text = event.settled
            print(text[self._shown :], end=end, flush=True)
            self._shown = max(self._shown, len(text))
        elif isinstance(event, MapReady):
            print(f"({event.kind} map in {event.seconds:.2f} s)", flush=True)


def _show(event: Event) -> None:
    from cooper_ros.runtime.events import MapReady, TurnText

    if isinstance(event, TurnText) and event.done:
        print(f"[turn {event.turn}] {event.text}")
    elif isinstance(event, MapReady):
        print(f"[turn {event.turn}] {event.kind} map in {event.seconds:.2f} s")


def _print(answer: SpatialAnswer) -> None:
    from cooper_ros.core.types import AnsweredBy, Status

    if answer.status is Status.OK:
        print(answer.text)
    else:
        print(f"{answer.status.name.lower()}: {answer.message}", file=sys.stderr)
        if answer.text:  # nobody shall take it for the answer
            print(f"the model wrote: {answer.text}")
    if answer.question_understood:
        print(f"understood: {answer.question_understood}")
    if answer.answered_by is AnsweredBy.MEASURED:
        print("measured on the maps alone: the model was taught no such question")
    elif finite(answer.measured) is not None:
        verdict = "agrees" if answer.agree else "does not agree"
        print(f"measured on the maps: {answer.measured:.2f} {answer.unit} ({verdict})")
    if answer.message and answer.status is Status.OK:
        print(answer.message)
    print(f"{answer.seconds:.2f} s, {answer.model_id}")
