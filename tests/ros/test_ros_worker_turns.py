"""Clients take turns in the worker; frames that were asked about stay for more questions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from test_ros_worker import WAIT_S, Bench, Job

from cooper_ros.core.errors import GenerationCancelled
from cooper_ros.ros.refusals import BusyError, StaleImageError
from cooper_ros.ros.worker import Snapshot


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.wanted = False
    for _ in range(100):
        made.may_go.release()
    yield made
    assert made.worker.stop(WAIT_S), "the thread did not end"


def show(bench: Bench, number: int, camera: str = "") -> None:
    bench.worker.put_frame(Snapshot(f"frame {number}", camera=camera, stamp_ns=number))


def ask(bench: Bench, **fields: Any) -> Any:
    job = Job(**fields)
    bench.worker.submit(job)
    return job.wait()


def test_clients_are_answered_in_turns(bench: Bench) -> None:
    show(bench, 1)
    order: list[str] = []
    jobs = [Job(client=client) for client in ("a", "a", "a", "b", "c", "b")]
    for job in jobs:
        job.run = lambda _, job=job: (order.append(job.client), job.done.set())  # type: ignore[method-assign,misc]
        bench.worker.submit(job)
    assert [bench.worker.positions()[id(job)] for job in jobs] == [0, 3, 5, 1, 2, 4]
    bench.worker.start()
    for job in jobs:
        job.wait()
    assert order == ["a", "b", "c", "a", "b", "a"]
    assert bench.worker.positions() == {}


def test_one_that_had_to_give_way_hears_it(bench: Bench) -> None:
    bench.worker.queue_size = 2
    jobs = [Job(client="a"), Job(client="a")]
    for job in jobs:
        bench.worker.submit(job)
    newcomer = Job(client="b")
    bench.worker.submit(newcomer)
    error = jobs[1].wait()
    assert isinstance(error, BusyError) and "gave way" in str(error)
    assert bench.worker.counters.questions_refused == 1
    bench.worker.client_queue_size = 1
    with pytest.raises(BusyError, match="client_queue_size"):
        bench.worker.submit(Job(client="b"))
    show(bench, 1)
    bench.worker.start()
    assert newcomer.wait() == jobs[0].wait() == "perception of frame 1"


def test_a_withdrawn_question_is_not_answered(bench: Bench) -> None:
    show(bench, 1)
    gone, stays = Job(), Job()
    bench.worker.submit(gone)
    bench.worker.submit(stays)
    assert bench.worker.withdraw(gone) and not bench.worker.withdraw(gone)
    bench.worker.start()
    stays.wait()
    assert not gone.done.is_set()


def test_frames_that_were_asked_about_are_kept(bench: Bench) -> None:
    bench.worker.kept_frames = 2
    bench.worker.start()
    for number in (1, 2, 3):
        show(bench, number)
        assert ask(bench) == f"perception of frame {number}"
    assert ask(bench, stamp_ns=2) == "perception of frame 2"
    show(bench, 4)
    ask(bench)  # 3 was asked about longest ago
    assert ask(bench, stamp_ns=2) == "perception of frame 2"
    for lost in (1, 3):
        error = ask(bench, stamp_ns=lost)
        assert isinstance(error, StaleImageError) and "kept_frames" in str(error)
    assert bench.seen == [f"frame {n}" for n in (1, 2, 3, 4)], "nothing was perceived twice"


def test_kept_frames_can_be_switched_off(bench: Bench) -> None:
    bench.worker.kept_frames = 0
    bench.worker.start()
    show(bench, 1)
    ask(bench)
    assert ask(bench, stamp_ns=1) == "perception of frame 1", "it is still the newest"
    show(bench, 2)
    ask(bench)
    assert isinstance(ask(bench, stamp_ns=1), StaleImageError)


def test_a_stamp_belongs_to_its_camera_and_its_calibration(bench: Bench) -> None:
    bench.worker.start()
    for camera in ("front", "rear"):
        show(bench, 1, camera)
        ask(bench, camera=camera)
    bench.worker.forget("rear")
    assert ask(bench, camera="front", stamp_ns=1) == "perception of frame 1"
    assert isinstance(ask(bench, camera="rear", stamp_ns=1), StaleImageError)
    assert isinstance(ask(bench, camera="left", stamp_ns=1), StaleImageError)


def test_an_image_that_came_with_a_question_is_not_kept(bench: Bench) -> None:
    bench.worker.start()
    ask(bench, snapshot=Snapshot("mine", from_camera=False, stamp_ns=7))
    assert isinstance(ask(bench, stamp_ns=7), StaleImageError)


def test_cancelling_while_its_maps_are_made_frees_the_thread() -> None:
    slow = Bench()
    slow.wanted = False
    slow.worker.start()
    show(slow, 1)
    job, after = Job(), Job()
    slow.worker.submit(job)
    assert slow.looking.acquire(timeout=WAIT_S)
    job.cancel.cancel()
    slow.worker.submit(after)
    slow.may_go.release()
    assert isinstance(job.wait(), GenerationCancelled)
    slow.may_go.release()
    assert after.wait() == "perception of frame 1"
    assert slow.worker.stop(WAIT_S)


def test_the_job_hears_of_the_image_before_its_maps() -> None:
    heard = threading.Event()
    bench = Bench()

    def perceive(snapshot: Snapshot, cancel: Any, early: Any) -> str:
        early("frame", "context", "")
        assert heard.is_set()
        return "maps"

    bench.worker._perceive = perceive
    bench.wanted = False
    job = Job()
    job.early = lambda frame, context, problem: heard.set()  # type: ignore[assignment]
    show(bench, 1)
    bench.worker.submit(job)
    bench.worker.start()
    assert job.wait() == "maps"
    assert bench.worker.stop(WAIT_S)
