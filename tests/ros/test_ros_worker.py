"""The inference thread: newest frame wins, questions share a frame, limits are kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cooper_ros.core.errors import GenerationCancelled
from cooper_ros.ros.refusals import BusyError, NoImageError, NotActiveError, StaleImageError
from cooper_ros.ros.worker import InferenceWorker, Snapshot
from cooper_ros.runtime.cancel import CancelToken

WAIT_S = 20.0


class Bench:
    """A worker whose perception waits for permission, and remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.errors: list[BaseException] = []
        self.looking = threading.Semaphore(0)
        self.may_go = threading.Semaphore(0)
        self.wanted = True
        self.error: BaseException | None = None
        self.worker: InferenceWorker[str] = InferenceWorker(
            self._perceive, lambda camera: self.wanted, self._fail
        )
        self.failed = threading.Semaphore(0)

    def _perceive(self, snapshot: Snapshot, cancel: CancelToken, early: Any = None) -> str:
        self.looking.release()
        assert self.may_go.acquire(timeout=WAIT_S)
        if self.error is not None:
            raise self.error
        cancel.check()
        self.seen.append(snapshot.message)
        return f"perception of {snapshot.message}"

    def _fail(self, error: BaseException, camera: str) -> None:
        self.errors.append(error)
        self.failed.release()


class Job:
    def __init__(
        self,
        snapshot: Snapshot | None = None,
        hold: threading.Event | None = None,
        camera: str = "",
        client: str = "",
        stamp_ns: int = 0,
    ):
        self.snapshot = snapshot
        self.camera = camera
        self.client = client
        self.stamp_ns = stamp_ns
        self.early = None
        self.cancel = CancelToken()
        self.result: Any = None
        self.done = threading.Event()
        self.started = threading.Event()
        self._hold = hold

    def run(self, perception: Any) -> None:
        self.started.set()
        if self._hold is not None:
            while not self._hold.wait(0.005):
                self.cancel.check()
        self.result = perception
        self.done.set()

    def fail(self, error: BaseException) -> None:
        if not self.done.is_set():
            self.result = error
            self.done.set()

    def wait(self) -> Any:
        assert self.done.wait(WAIT_S), "the job never ended"
        return self.result


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for _ in range(100):
        made.may_go.release()
    assert made.worker.stop(WAIT_S), "the thread did not end"


def test_a_slow_model_sees_the_newest_frame_and_not_the_queue(bench: Bench) -> None:
    bench.worker.start()
    bench.worker.put_frame(Snapshot(0))
    assert bench.looking.acquire(timeout=WAIT_S)
    for number in (1, 2, 3):
        bench.worker.put_frame(Snapshot(number))
    bench.may_go.release()
    assert bench.looking.acquire(timeout=WAIT_S)
    bench.may_go.release()
    job = Job()
    bench.worker.submit(job)
    assert job.wait() == "perception of 3"
    assert bench.seen == [0, 3]
    assert bench.worker.counters.frames_received == 4
    assert bench.worker.counters.frames_dropped == 2


def test_all_waiting_questions_share_one_perception(bench: Bench) -> None:
    bench.wanted = False
    bench.worker.put_frame(Snapshot("a"))
    jobs = [Job() for _ in range(5)]
    for job in jobs:
        bench.worker.submit(job)
    bench.may_go.release()  # one perception only
    bench.worker.start()
    assert [job.wait() for job in jobs] == ["perception of a"] * 5
    assert bench.seen == ["a"]


def test_questions_of_one_batch_are_pinned_to_one_frame(bench: Bench) -> None:
    bench.wanted = False
    release = threading.Event()
    first, second = Job(hold=release), Job()
    bench.worker.put_frame(Snapshot("old"))
    bench.worker.submit(first)
    bench.worker.submit(second)
    bench.may_go.release()
    bench.worker.start()
    assert first.started.wait(WAIT_S)
    bench.worker.put_frame(Snapshot("new"))
    release.set()
    assert second.wait() == "perception of old"
    third = Job()
    bench.may_go.release()
    bench.worker.submit(third)
    assert third.wait() == "perception of new"


def test_a_question_may_bring_its_own_image(bench: Bench) -> None:
    bench.worker.start()
    bench.may_go.release()
    job = Job(Snapshot("mine", from_camera=False))
    bench.worker.submit(job)
    assert job.wait() == "perception of mine"


def test_nothing_is_perceived_while_nobody_looks(bench: Bench) -> None:
    bench.wanted = False
    bench.worker.start()
    bench.worker.put_frame(Snapshot(1))
    job = Job(Snapshot("mine", from_camera=False))
    bench.may_go.release()
    bench.worker.submit(job)
    job.wait()
    assert bench.seen == ["mine"]


def test_without_an_image_the_question_is_refused(bench: Bench) -> None:
    bench.worker.start()
    job = Job()
    bench.worker.submit(job)
    assert isinstance(job.wait(), NoImageError)


def test_an_old_image_is_not_used(bench: Bench) -> None:
    bench.worker.max_image_age_s = 1.0
    bench.wanted = False
    bench.worker.start()
    snapshot = Snapshot(1)
    snapshot.received -= 5.0
    bench.worker.put_frame(snapshot)
    job = Job()
    bench.worker.submit(job)
    error = job.wait()
    assert isinstance(error, StaleImageError)
    assert "5.0 s ago" in str(error) and "max_image_age_s" in str(error)


def test_a_full_queue_refuses_at_once(bench: Bench) -> None:
    bench.worker.queue_size = 2
    jobs = [Job(), Job()]
    for job in jobs:
        bench.worker.submit(job)
    with pytest.raises(BusyError, match="2 questions"):
        bench.worker.submit(Job())
    bench.worker.put_frame(Snapshot(1))
    bench.may_go.release()
    bench.worker.start()
    for job in jobs:
        assert job.wait() == "perception of 1"


def test_a_bad_frame_is_reported_and_the_next_one_is_taken(bench: Bench) -> None:
    bench.worker.start()
    bench.error = ValueError("bad frame")
    bench.worker.put_frame(Snapshot(1))
    bench.may_go.release()
    assert bench.failed.acquire(timeout=WAIT_S)
    assert str(bench.errors[0]) == "bad frame"
    job = Job()
    bench.worker.submit(job)
    bench.may_go.release()
    assert str(job.wait()) == "bad frame"  # the question hears the reason
    bench.error = None
    bench.worker.put_frame(Snapshot(2))
    bench.may_go.release()
    again = Job()
    bench.worker.submit(again)
    assert again.wait() == "perception of 2"


def test_late_calibration_makes_the_frame_be_perceived_again(bench: Bench) -> None:
    bench.worker.start()
    bench.worker.put_frame(Snapshot(1))
    bench.may_go.release()
    assert bench.looking.acquire(timeout=WAIT_S)
    first = Job()
    bench.worker.submit(first)
    first.wait()
    bench.worker.forget()
    bench.may_go.release()
    assert bench.looking.acquire(timeout=WAIT_S)


def test_a_cancelled_question_frees_the_thread_for_the_next(bench: Bench) -> None:
    bench.wanted = False
    bench.worker.put_frame(Snapshot(1))
    bench.may_go.release()
    bench.worker.start()
    endless, after = Job(hold=threading.Event()), Job()
    bench.worker.submit(endless)
    bench.worker.submit(after)
    assert endless.started.wait(WAIT_S)
    endless.cancel.cancel()
    assert isinstance(endless.wait(), GenerationCancelled)
    assert after.wait() == "perception of 1"


def test_stopping_ends_the_running_and_the_waiting_question(bench: Bench) -> None:
    bench.wanted = False
    bench.worker.put_frame(Snapshot(1))
    bench.may_go.release()
    bench.worker.start()
    running, waiting = Job(hold=threading.Event()), Job()
    bench.worker.submit(running)
    bench.worker.submit(waiting)
    assert running.started.wait(WAIT_S)
    assert bench.worker.stop(WAIT_S)
    assert isinstance(running.wait(), GenerationCancelled)
    assert isinstance(waiting.wait(), GenerationCancelled)
    with pytest.raises(NotActiveError):
        bench.worker.submit(Job())


def test_stop_says_when_the_thread_is_still_busy() -> None:
    stuck = Bench()
    stuck.worker.start()
    stuck.worker.put_frame(Snapshot(1))
    assert stuck.looking.acquire(timeout=WAIT_S)
    assert not stuck.worker.stop(0.01)
    stuck.may_go.release()
    assert stuck.worker.stop(WAIT_S)


def test_each_camera_has_its_own_newest_frame(bench: Bench) -> None:
    """A quick camera neither replaces the frame of a slow one nor keeps it from being seen."""
    bench.worker.start()
    bench.worker.put_frame(Snapshot("front 0", camera="front"))
    assert bench.looking.acquire(timeout=WAIT_S)
    bench.worker.put_frame(Snapshot("rear 0", camera="rear"))
    for number in range(1, 6):
        bench.worker.put_frame(Snapshot(f"front {number}", camera="front"))
    for _ in range(2):
        bench.may_go.release()
        assert bench.looking.acquire(timeout=WAIT_S)
    bench.may_go.release()
    job = Job(camera="rear")
    bench.worker.submit(job)
    assert job.wait() == "perception of rear 0"
    assert bench.seen == ["front 0", "rear 0", "front 5"]
    assert bench.worker.counters.frames_dropped == 4


def test_questions_go_to_the_camera_they_name(bench: Bench) -> None:
    bench.wanted = False
    for camera in ("front", "rear"):
        bench.worker.put_frame(Snapshot(f"{camera} frame", camera=camera))
    jobs = [Job(camera=camera) for camera in ("rear", "front", "rear")]
    for job in jobs:
        bench.worker.submit(job)
    nowhere = Job(camera="left")
    bench.worker.submit(nowhere)
    bench.may_go.release()
    bench.may_go.release()
    bench.worker.start()
    assert [job.wait() for job in jobs] == [
        f"perception of {camera} frame" for camera in ("rear", "front", "rear")
    ]
    assert bench.seen == ["rear frame", "front frame"], "one perception per camera"
    assert "'left'" in str(nowhere.wait())


def test_only_the_camera_that_changed_is_perceived_again(bench: Bench) -> None:
    bench.worker.start()
    for camera in ("front", "rear"):
        bench.worker.put_frame(Snapshot(camera, camera=camera))
        assert bench.looking.acquire(timeout=WAIT_S)
        bench.may_go.release()
    bench.worker.forget("rear")
    assert bench.looking.acquire(timeout=WAIT_S)
    bench.may_go.release()
    job = Job(camera="rear")
    bench.worker.submit(job)
    job.wait()
    assert bench.seen == ["front", "rear", "rear"]


def test_when_time_runs_back_the_frame_and_what_was_kept_are_gone(bench: Bench) -> None:
    bench.wanted = False
    bench.worker.start()
    for _ in range(2):
        bench.may_go.release()
    bench.worker.put_frame(Snapshot("before", stamp_ns=900))
    first = Job()
    bench.worker.submit(first)
    assert first.wait() == "perception of before"
    again = Job(stamp_ns=900)
    bench.worker.submit(again)
    assert again.wait() == "perception of before"
    bench.worker.forget("", frame=True)
    for job, kind in ((Job(stamp_ns=900), StaleImageError), (Job(), NoImageError)):
        bench.worker.submit(job)
        assert isinstance(job.wait(), kind)
    bench.worker.put_frame(Snapshot("after", stamp_ns=100))
    last = Job()
    bench.worker.submit(last)
    assert last.wait() == "perception of after"
