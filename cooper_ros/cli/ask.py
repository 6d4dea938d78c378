"""Ask a question about one image file; the answer is also measured on the maps.

Exit code 0 when there is an answer to act on, 1 when not (the status and message say why).
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from cooper_ros.cli.images import add_image_arguments, finite, read_frame

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
    parser.add_argument("--trace", action="store_true", help="show the thoughts and the maps")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Ask and print the answer."""
    from cooper_ros.core.types import SpatialAnswer, Status
    from cooper_ros.runtime.pipeline import CooperPipeline

    frame = read_frame(args.image, args.intrinsics)
    pipeline = CooperPipeline.open(args.model, args.backend, args.threads)
    answer: SpatialAnswer | None = None
    for event in pipeline.see(frame).ask(args.question, args.mode):
        if isinstance(event, SpatialAnswer):
            answer = event
        elif args.trace:
            _show(event)
    assert answer is not None
    if args.json:
        print(json.dumps(to_dict(answer)))
    else:
        _print(answer)
    return 0 if answer.status is Status.OK else 1


def to_dict(answer: SpatialAnswer) -> dict[str, Any]:
    """The answer for json; NaN becomes null, enums become lower-case names."""
    numbers = ("value", "measured", "low", "high", "confidence", "seconds")
    return {
        "question": answer.question,
        "kind": answer.kind.name.lower(),
        "status": answer.status.name.lower(),
        "text": answer.text,
        "unit": answer.unit,
        "agree": answer.agree,
        **{name: finite(getattr(answer, name)) for name in numbers},
        "objects": [
            {
                "label": item.label,
                "box": list(item.box),
                "distance_m": finite(item.distance_m),
                "position": [finite(value) for value in item.position],
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


def _show(event: Event) -> None:
    from cooper_ros.runtime.events import MapReady, TurnText

    if isinstance(event, TurnText) and event.done:
        print(f"[turn {event.turn}] {event.text}")
    elif isinstance(event, MapReady):
        print(f"[turn {event.turn}] {event.kind} map in {event.seconds:.2f} s")


def _print(answer: SpatialAnswer) -> None:
    from cooper_ros.core.types import Status

    if answer.status is not Status.OK:
        print(f"{answer.status.name.lower()}: {answer.message}", file=sys.stderr)
    if answer.text:
        print(answer.text)
    if finite(answer.measured) is not None:
        verdict = "agrees" if answer.agree else "does not agree"
        print(f"measured on the maps: {answer.measured:.2f} {answer.unit} ({verdict})")
    if answer.message and answer.status is Status.OK:
        print(answer.message)
    print(f"{answer.seconds:.2f} s, {answer.model_id}")
