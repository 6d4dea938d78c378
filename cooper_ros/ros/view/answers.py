"""Replies of the node as JSON for the page; unknown numbers are null."""

from __future__ import annotations

import math
from typing import Any

from cooper_ros.core.types import ScaleSource, Status, StepType
from cooper_ros.ros.messages import duration_to_seconds, from_answer


def answer_json(reply: Any) -> dict[str, Any]:
    """Of a result of the action Reason (or an AskSpatial response)."""
    answer = from_answer(reply.answer)
    return {
        "question": answer.question,
        "status": answer.status.name,
        "text": answer.text,
        "value": number(answer.value),
        "unit": answer.unit,
        "low": number(answer.low),
        "high": number(answer.high),
        "measured": number(answer.measured),
        "agree": answer.agree,
        "checked": answer.checked,
        "answered_by": answer.answered_by.name,
        "understood": answer.question_understood,
        "message": answer.message,
        "objects": [_object(item) for item in answer.objects],
        "scale_source": answer.scale_source.name,
        "age": duration_to_seconds(reply.answer.image_age),
        "seconds": answer.seconds,
        "steps": [
            {"type": StepType(step.type).name, "text": step.text, "seconds": step.seconds}
            for step in answer.trace
        ],
    }


STATES = ("", "queued", "looking", "answering", "thinking", "drawing a map", "measuring")


def progress_json(feedback: Any) -> dict[str, Any]:
    """Of a feedback of the action Reason; `direct`: the quick answer, "" while there is none."""
    direct = feedback.direct_answer
    return {
        "state": STATES[feedback.state] if feedback.state < len(STATES) else "",
        "queue": int(feedback.queue_position),
        "turn": int(feedback.turn),
        "delta": feedback.text_delta,
        "direct": direct.text if direct.status == int(Status.OK) else "",
        "checked": bool(direct.checked),
    }


def distance_json(reply: Any) -> dict[str, Any]:
    """Of a QueryDistance response for one pixel."""
    return {
        "status": Status(reply.status).name,
        "message": reply.message,
        "distance": number(reply.distances[0]) if reply.distances else None,
        "low": number(reply.low[0]) if reply.low else None,
        "high": number(reply.high[0]) if reply.high else None,
        "label": reply.objects[0].label if reply.objects else "",
        "scale_source": ScaleSource(reply.scale_source).name,
    }


def _object(reference: Any) -> dict[str, Any]:
    return {
        "label": reference.label,
        "box": list(reference.box),
        "distance": number(reference.distance_m),
    }


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


