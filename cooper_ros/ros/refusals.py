"""Why a request was not answered, as errors with the status that goes on the wire."""

from __future__ import annotations

from cooper_ros.core.errors import (
    CooperError,
    GenerationCancelled,
    NotMetricError,
    QuestionError,
)
from cooper_ros.core.types import Status


class Refusal(CooperError):
    """A request that the node turns down; `status` is the SpatialAnswer status it is told."""

    status = Status.ERROR


class NotActiveError(Refusal):
    """The node has no model loaded or is not activated."""


class NoImageError(Refusal):
    """No camera image has arrived yet."""

    status = Status.NO_IMAGE


class StaleImageError(Refusal):
    """The newest camera image is older than allowed."""

    status = Status.STALE


class BusyError(Refusal):
    """As many questions wait as may wait."""

    status = Status.BUSY


class DeadlineError(Refusal):
    """The time limit of the request passed."""

    status = Status.TIMEOUT


def status_of(error: BaseException) -> Status:
    """The status that tells a client of this error."""
    if isinstance(error, Refusal):
        return error.status
    if isinstance(error, QuestionError):
        return Status.BAD_QUESTION
    if isinstance(error, NotMetricError):
        return Status.NOT_METRIC
    if isinstance(error, GenerationCancelled):
        return Status.CANCELED
    return Status.ERROR


def message_of(error: BaseException) -> str:
    """The text for people; errors that are not ours also say their type."""
    if isinstance(error, CooperError):
        return str(error)
    return f"{type(error).__name__}: {error}"
