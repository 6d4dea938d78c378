"""Work on scenes with a loaded model, in one process or in several."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from cooper_ros.core import stopping

Task = TypeVar("Task")
Result = TypeVar("Result")

_work: Callable[[Any], Any] | None = None


def _start(make: Callable[..., Callable[[Any], Any]], arguments: Sequence[Any]) -> None:
    global _work
    stopping.ignore()
    _work = make(*arguments)


def _do(task: Any) -> Any:
    assert _work is not None
    return _work(task)


def run_all(
    make: Callable[..., Callable[[Task], Result]],
    arguments: Sequence[Any],
    tasks: Sequence[Task],
    processes: int = 1,
) -> Iterator[Result]:
    """Results of `make(*arguments)` called with every task, in order.

    `make` runs once in every process (it loads the model); it, its arguments and the tasks must be
    picklable when there are several. An error in a process is raised here.
    """
    if processes <= 1:
        work = make(*arguments)
        for task in tasks:
            yield work(task)
        return
    # threads of the numeric libraries would fight for the cores that the processes share
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _start, (make, tuple(arguments))) as pool:
        yield from pool.imap(_do, tasks)
