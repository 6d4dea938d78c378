"""The one exception hierarchy of the package.

Every error is written for the person who reads it on a robot: what was wrong, which value, what to
do. Callers that only want "something of ours failed" catch `CooperError`.
"""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_SHOWN = 80


def shown(value: object) -> str:
    """A value from outside as an error shows it: its repr, cut after 80 characters."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


class CooperError(Exception):
    """Base of all errors raised on purpose by this package."""


class InvalidImageError(CooperError, ValueError):
    """An image has the wrong shape, dtype, encoding or size."""


class IntrinsicsError(CooperError, ValueError):
    """Camera intrinsics are missing, zero or contradict the image size."""


class QuestionError(CooperError, ValueError):
    """A question is empty, too long, or uses words that nothing here can answer.

    `known_words`: the nouns that would have been understood.
    `unknown_words`: the words of the question that were not.
    """

    def __init__(
        self,
        message: str,
        known_words: Iterable[str] = (),
        unknown_words: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.known_words: tuple[str, ...] = tuple(known_words)
        self.unknown_words: tuple[str, ...] = tuple(unknown_words)


class ModelFolderError(CooperError):
    """A model folder is missing, truncated, altered or of an unknown version."""


class NotMetricError(CooperError):
    """A length in metres was asked for, but the depth at hand has no metric scale."""


class ScaleError(CooperError, ValueError):
    """Anchors or a calibration from which no metric scale can be found."""


class FrameError(CooperError):
    """Two coordinate frames that cannot be related at the time asked for."""


class GenerationCancelled(CooperError):
    """Generation was stopped on request between two tokens or two denoising steps."""


class BackendError(CooperError):
    """An inference engine could not be loaded, or refused to run."""


class BagError(CooperError):
    """A bag cannot be read or written, or does not hold what was asked of it."""


class CacheError(CooperError):
    """There is no folder that can be written for what is built on this machine."""


class RosError(CooperError):
    """ROS cannot be started here."""
