"""The inference thread: newest frame in, questions in, one at a time.

ROS callbacks only leave things here and return. A frame replaces the one of the same camera that
was not looked at yet (an old image is worth nothing to a robot); questions queue up to limits, and
clients take turns. All questions that wait together are answered on one pinned frame per camera, so
its perception is computed once for them; the frames that were asked about last are kept for more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from cooper_ros.core.errors import GenerationCancelled
from cooper_ros.ros.fair_queue import FairQueue
from cooper_ros.ros.refusals import BusyError, NoImageError, NotActiveError, StaleImageError
from cooper_ros.ros.slots import FrameSlots, Snapshot
from cooper_ros.runtime.cancel import CancelToken

__all__ = ["Counters", "InferenceWorker", "Job", "Snapshot"]

Perception = TypeVar("Perception")


Early = Callable[[Any, Any, str], None]


class Job(Protocol):
    """A question. `snapshot`: its own image, or None for one of `camera`: the newest, or the one
    with the stamp `stamp_ns`, which must have been asked about before. `client`: who asks.

    `early`, if any, is called in the worker thread with (frame, context, calibration_problem) as
    soon as the image was read, before its maps are made.
    """

    snapshot: Snapshot | None
    camera: str
    client: str
    stamp_ns: int
    cancel: CancelToken
    early: Early | None

    def run(self, perception: Any) -> None:
        """Answer on this perception; errors raised here go to `fail`."""
        ...

    def fail(self, error: BaseException) -> None:
        """End without an answer. May be called after `run` or `fail`: the first one counts."""
        ...


@dataclass
class Counters:
    """What the worker did since it was made."""

    frames_received: int = 0
    frames_perceived: int = 0
    frames_followed: int = 0
    frames_dropped: int = 0
    frames_failed: int = 0
    questions_answered: int = 0
    questions_refused: int = 0


class InferenceWorker(Generic[Perception]):
    """Owns the one thread in which the model runs.

    `perceive(snapshot, cancel, early)` makes what jobs run on, and publishes it (`early`: see
    `Job`). `wanted(camera)` says whether its frames should be perceived although nobody asked.
    `on_error(error, camera)` hears of frames that failed. `look(snapshot, cancel)` takes the frames
    that nobody asked about; it may return None for one that needs no maps of its own (default:
    `perceive`). All are called in the worker thread.
    """

    def __init__(
        self,
        perceive: Callable[[Snapshot, CancelToken, Early | None], Perception],
        wanted: Callable[[str], bool],
        on_error: Callable[[BaseException, str], None],
        counters: Counters | None = None,
        look: Callable[[Snapshot, CancelToken], Perception | None] | None = None,
    ) -> None:
        self._perceive = perceive
        self._look = look or (lambda snapshot, cancel: perceive(snapshot, cancel, None))
        self._wanted = wanted
        self._on_error = on_error
        self._condition = threading.Condition()
        self._frames = FrameSlots()
        self._queue: FairQueue[Job] = FairQueue()
        self._running: Job | None = None
        self._cancel = CancelToken()
        self._stopping = False
        self._forgotten = 0
        self._last: dict[str, tuple[Snapshot, Perception]] = {}
        self._kept: OrderedDict[tuple[str, int], tuple[Snapshot, Perception]] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self.counters = counters if counters is not None else Counters()
        self.queue_size = 8
        self.client_queue_size = 8
        self.kept_frames = 4
        self.max_rate_hz = 0.0
        self.max_image_age_s = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Questions in the queue."""
        return len(self._queue)

    def put_frame(self, snapshot: Snapshot) -> None:
        """Leave a frame; it replaces one that nobody looked at. Never blocks for long."""
        with self._condition:
            self.counters.frames_received += 1
            if self._frames.put(snapshot):
                self.counters.frames_dropped += 1
            self._condition.notify()

    def submit(self, job: Job) -> None:
        """Queue a question; raise BusyError when the queue is full, NotActiveError when stopped."""
        with self._condition:
            if self._stopping:
                raise NotActiveError("the node is stopping and takes no more questions")
            try:
                displaced = self._queue.put(job, self.queue_size, self.client_queue_size)
            except BusyError:
                self.counters.questions_refused += 1
                raise
            if displaced is not None:
                self.counters.questions_refused += 1
            self._condition.notify()
        if displaced is not None:
            displaced.fail(
                BusyError(
                    "this question gave way to one of a client that had fewer waiting (parameter "
                    "queue_size); ask again later"
                )
            )

    def withdraw(self, job: Job) -> bool:
        """Take a waiting question out of the queue; False if it does not wait (any more)."""
        with self._condition:
            return self._queue.remove(job)

    def positions(self) -> dict[int, int]:
        """How many questions are answered before each one that waits, by `id(job)`."""
        with self._condition:
            running = 1 if self._running is not None else 0
            waiting = self._queue.in_order()
        return {id(job): number + running for number, job in enumerate(waiting)}

    def forget(self, camera: str = "", *, frame: bool = False) -> None:
        """Perceive a camera's newest frame again, e.g. its calibration arrived after it. `frame`:
        forget that frame too, e.g. because its time is over."""
        with self._condition:
            self._forgotten += 1  # what is being perceived right now is out of date as well
            self._last.pop(camera, None)
            for key in [key for key in self._kept if key[0] == camera]:
                del self._kept[key]
            if frame:
                self._frames.drop(camera)
            else:
                self._frames.renew(camera)
            self._condition.notify()

    def stop(self, timeout_s: float) -> bool:
        """Cancel what runs and what waits; True when the thread has ended within `timeout_s`."""
        with self._condition:
            self._stopping = True
            waiting = [*self._queue.in_order(), *([self._running] if self._running else [])]
            self._queue.clear()
            self._cancel.cancel()
            for job in waiting:
                job.cancel.cancel()
            self._condition.notify()
        for job in waiting:
            job.fail(GenerationCancelled("the node stopped before this question was answered"))
        if self._thread.ident is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # -- in the worker thread ------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._condition:
                batch, frame = self._next_work()
                if self._stopping:
                    return
            if batch:
                self._answer(batch)
            elif frame is not None:
                self._look_at(frame)

    def _next_work(self) -> tuple[list[Job], Snapshot | None]:
        """Wait for work; the condition is held. Questions come before frames."""
        while not self._stopping:
            if self._queue:
                return self._queue.in_order(), None
            delay: float | None = None
            period = 1.0 / self.max_rate_hz if self.max_rate_hz > 0.0 else 0.0
            for camera in self._frames.fresh():
                if not self._wanted(camera):
                    continue
                left = period - self._frames.since_look(camera)
                if left <= 0.0:
                    return [], self._frames.take(camera)
                delay = left if delay is None else min(delay, left)
            self._condition.wait(delay)
        return [], None

    def _look_at(self, snapshot: Snapshot) -> None:
        try:
            self._seen(snapshot, lambda: self._look(snapshot, self._cancel))
        except GenerationCancelled:
            pass
        except Exception as error:  # a bad frame must not end the node
            self.counters.frames_failed += 1
            self._on_error(error, snapshot.camera)

    def _perception_of(self, snapshot: Snapshot, job: Job | None = None) -> Perception:
        cancel, early = (self._cancel, None) if job is None else (job.cancel, job.early)
        perception = self._seen(snapshot, lambda: self._perceive(snapshot, cancel, early))
        assert perception is not None
        return perception

    def _seen(self, snapshot: Snapshot, see: Callable[[], Perception | None]) -> Perception | None:
        last = self._last.get(snapshot.camera)
        if last is not None and last[0] is snapshot:
            return last[1]
        forgotten = self._forgotten
        perception = see()
        if perception is None:
            self.counters.frames_followed += 1
            return None
        self.counters.frames_perceived += 1
        if snapshot.from_camera and forgotten == self._forgotten:
            self._last[snapshot.camera] = (snapshot, perception)
        return perception

    def _perception_for(self, job: Job, pinned: dict[str, Snapshot]) -> Perception:
        """What a question is answered on. `pinned`: the frames of its batch so far."""
        if job.snapshot is not None:
            return self._perception_of(job.snapshot, job)
        if job.stamp_ns:
            kept = self._kept.get((job.camera, job.stamp_ns)) or self._last.get(job.camera)
            if kept is None or kept[0].stamp_ns != job.stamp_ns:
                raise StaleImageError(
                    f"the image of {job.stamp_ns / 1e9:.3f} s is not kept (any more): only the "
                    f"last {self.kept_frames} that were asked about are (parameter kept_frames)"
                )
            snapshot, perception = kept
        else:
            if job.camera not in pinned:
                pinned[job.camera] = self._pinned(job.camera)
            snapshot = pinned[job.camera]
            perception = self._perception_of(snapshot, job)
        # On video, an earlier frame with the same view may stand in: that one is pinned.
        self._keep(getattr(perception, "snapshot", snapshot), perception)
        return perception

    def _keep(self, snapshot: Snapshot, perception: Perception) -> None:
        """Remember a frame that was asked about, unless its calibration changed meanwhile."""
        with self._condition:
            key = (snapshot.camera, snapshot.stamp_ns)
            last = self._last.get(snapshot.camera)
            known = key in self._kept or (last is not None and last[1] is perception)
            if snapshot.stamp_ns and known:
                self._kept[key] = (snapshot, perception)
                self._kept.move_to_end(key)
            while len(self._kept) > self.kept_frames:
                self._kept.popitem(last=False)

    def _pinned(self, camera: str) -> Snapshot:
        """A camera's newest frame, if it can be used for a question."""
        with self._condition:
            snapshot = self._frames.take(camera)  # its maps are published for the question
        if snapshot is None:
            which = f" of camera {camera!r}" if camera else ""
            raise NoImageError(
                f"no image{which} has arrived yet: check that the camera publishes on the topic "
                "the node reads (see the node's log for its name)"
            )
        if 0.0 < self.max_image_age_s < snapshot.age_s:
            raise StaleImageError(
                f"the newest image arrived {snapshot.age_s:.1f} s ago, more than "
                f"{self.max_image_age_s:g} s (parameter max_image_age_s): is the camera running?"
            )
        return snapshot

    def _answer(self, batch: list[Job]) -> None:
        """Answer every job of a batch on one frame (or on the image that a job brought along)."""
        pinned: dict[str, Snapshot] = {}
        for job in batch:
            with self._condition:
                # The job may have been taken back while others were answered.
                if self._stopping or not self._queue.remove(job, served=True):
                    continue
                self._running = job
            try:
                job.cancel.check()
                job.run(self._perception_for(job, pinned))
                self.counters.questions_answered += 1
            except Exception as error:  # the job tells its client; the thread goes on
                self.counters.questions_refused += 1
                job.fail(error)
            finally:
                self._running = None
