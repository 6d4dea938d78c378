"""Stopping work that is no longer wanted."""

from __future__ import annotations

import threading

from cooper_ros.core.errors import GenerationCancelled


class CancelToken:
    """Set from any thread; looked at between tokens and between denoising steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the running generation to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise GenerationCancelled if `cancel` was called."""
        if self._event.is_set():
            raise GenerationCancelled("the generation was cancelled")


def check(cancel: CancelToken | None) -> None:
    """`cancel.check()` where there is a token."""
    if cancel is not None:
        cancel.check()
