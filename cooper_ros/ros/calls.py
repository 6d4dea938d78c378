"""A service call that waits for the inference thread without blocking the executor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from cooper_ros.ros.refusals import DeadlineError
from cooper_ros.ros.slots import Snapshot
from cooper_ros.ros.worker import Early
from cooper_ros.runtime.cancel import CancelToken


class PendingCall:
    """Awaitable result of a job; the first of answer, failure and deadline wins.

    A service handler that awaits it gives the executor's thread back. `wake` is called (from any
    thread) when there is a result, so that a sleeping executor looks at the handler again.
    """

    def __init__(
        self,
        work: Callable[[Any, CancelToken], Any],
        refuse: Callable[[BaseException], Any],
        timeout_s: float,
        wake: Callable[[], None],
        snapshot: Snapshot | None = None,
        camera: str = "",
        client: str = "",
        stamp_ns: int = 0,
    ) -> None:
        self._work = work
        self._refuse = refuse
        self._wake = wake
        self._lock = threading.Lock()
        self._done = False
        self._result: Any = None
        self.timeout_s = timeout_s
        self.deadline = time.monotonic() + timeout_s
        self.snapshot = snapshot
        self.camera = camera
        self.client = client
        self.stamp_ns = stamp_ns
        self.early: Early | None = None
        self.cancel = CancelToken()

    @property
    def done(self) -> bool:
        """Whether it has its result."""
        return self._done

    def run(self, perception: Any) -> None:
        """Do the work on a perception (worker thread)."""
        self._finish(self._work(perception, self.cancel))

    def fail(self, error: BaseException) -> None:
        """End with a refusal."""
        if not self._done:
            self._finish(self._refuse(error))

    def abandon(self, error: BaseException) -> None:
        """End with a refusal, and stop what is being done for it."""
        self.cancel.cancel()
        self.fail(error)

    def expire(self) -> bool:
        """End with a timeout if the deadline has passed; True when the call is over."""
        if not self._done and time.monotonic() >= self.deadline:
            self.abandon(
                DeadlineError(
                    f"no answer within {self.timeout_s:g} s: give the request a longer timeout, "
                    "or ask less at once"
                )
            )
        return self._done

    def _finish(self, result: Any) -> None:
        with self._lock:
            if self._done:
                return
            self._result, self._done = result, True
        self._wake()

    def __await__(self) -> Generator[None, None, Any]:
        while not self._done:
            yield
        return self._result
