"""One open page: what it looks at, what it asked, and how fast it can take pictures."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

from cooper_ros.ros.view.answers import answer_json, distance_json, progress_json
from cooper_ros.ros.view.pictures import Picture
from cooper_ros.ros.view.watching import PANELS, Watch

STATUS_S = 1.0
ANSWER_S = 30.0
MARGIN_S = 2.0
REFUSED = {"status": "ERROR", "message": "the node did not take the question"}


class SessionLimit:
    """How much pages may ask for."""

    PAGES = 8
    QUESTIONS = 4
    """Questions and measurements of one page that may be under way."""
    LENGTH = 2000
    """Characters; the node has a limit of its own, this one is for the way there."""


class Session:
    """Sends pictures and status by itself, and takes the page's messages.

    `send_text(message)` and `send_picture(header, jpeg)` may raise ConnectionError.
    """

    def __init__(
        self,
        node: Any,
        send_text: Callable[[dict[str, Any]], Awaitable[None]],
        send_picture: Callable[[dict[str, Any], bytes], Awaitable[None]],
    ) -> None:
        self._node = node
        self._send_text = send_text
        self._send_picture = send_picture
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._ready = asyncio.Event()
        self._ready.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open_questions = 0
        self._watch: Watch | None = None
        self._source: tuple[Any, ...] = ()
        self.camera = ""
        self._sent: dict[str, int] = {}

    async def start(self) -> None:
        """Begin to send."""
        self._spawn(self._send_status())
        self._spawn(self._send_pictures())

    async def close(self) -> None:
        """Stop, and let go of the topics."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._unwatch()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda t: t.cancelled() or t.exception())  # a page that has gone

    # -- towards the page --------------------------------------------------------------------

    async def _send_status(self) -> None:
        while True:
            cameras = await asyncio.to_thread(self._node.cameras)
            if cameras and self.camera not in cameras:
                self.camera = cameras[0]
            await self._follow()
            status = await asyncio.to_thread(self._node.status)
            await self._send_text(
                {"type": "status", "node": self._node.target, "cameras": cameras,
                 "camera": self.camera, **status}
            )  # fmt: skip
            await asyncio.sleep(STATUS_S)

    async def _follow(self) -> None:
        """Read the chosen camera's topics; anew when the node reads another topic now."""
        source = (self.camera, await asyncio.to_thread(self._node.image_topic, self.camera))
        if self._watch is not None and source == self._source:
            return
        await self._unwatch()
        camera, self._source, self._sent = self.camera, source, {}
        made = self._node.in_ros(lambda: self._node.watch(camera, self._notice))
        try:
            self._watch = await asyncio.wrap_future(made)
        except asyncio.CancelledError:  # the page was closed meanwhile: what is made, is closed
            made.add_done_callback(self._discard)
            raise

    def _discard(self, made: Any) -> None:
        if not made.cancelled() and made.exception() is None:
            self._node.in_ros(made.result().close)

    async def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            # Shielded: topics must be let go of even when the page is closed just now.
            await asyncio.shield(asyncio.wrap_future(self._node.in_ros(watch.close)))

    def _notice(self) -> None:
        self._loop.call_soon_threadsafe(self._changed.set)

    async def _send_pictures(self) -> None:
        while True:
            await self._changed.wait()
            await self._ready.wait()
            self._changed.clear()
            watch = self._watch
            if watch is None:
                continue
            sent = 0
            for panel in PANELS:
                sent += await self._send_panel(watch, panel)
            if sent:
                self._ready.clear()
                await self._send_text({"type": "objects", "objects": watch.objects})
                await self._send_text({"type": "batch"})

    async def _send_panel(self, watch: Watch, panel: str) -> int:
        version = watch.version(panel)
        if version in (0, self._sent.get(panel)):
            return 0
        self._sent[panel] = version
        picture = await asyncio.to_thread(watch.picture, panel)
        if isinstance(picture, Picture):
            header = {
                "panel": panel,
                "age": round(self._node.age_s(picture.stamp_ns), 3),
                "width": picture.width,
                "height": picture.height,
                "near": picture.near,
                "far": picture.far,
                "unit": picture.unit,
            }
            await self._send_picture(header, picture.jpeg)
        elif picture:
            await self._send_text({"type": "problem", "panel": panel, "text": picture})
        return 1

    # -- from the page -----------------------------------------------------------------------

    async def receive(self, text: str) -> None:
        """One message of the page; what cannot be used is answered with `error`."""
        try:
            message = json.loads(text)
            kind = message["type"]
            if kind == "ready":
                self._ready.set()
            elif kind == "camera":
                self.camera = str(message["name"])
                await self._follow()
            elif kind == "ask":
                question, mode = str(message["question"]), str(message.get("mode", "auto"))
                if len(question) > SessionLimit.LENGTH or mode not in self._node.MODES:
                    raise ValueError("the question is too long, or its mode is unknown")
                if await self._may_ask(message.get("id"), "answer"):
                    self._spawn(self._ask(message.get("id"), question, mode))
            elif kind == "measure":
                u, v = float(message["u"]), float(message["v"])
                if not (math.isfinite(u) and math.isfinite(v)):
                    raise ValueError("u and v must be finite")
                if await self._may_ask(message.get("id"), "distance"):
                    self._spawn(self._measure(message.get("id"), u, v))
            else:
                raise ValueError(f"unknown type {kind!r}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            await self._send_text({"type": "error", "text": f"not understood: {error}"})

    async def _may_ask(self, number: Any, kind: str) -> bool:
        """Whether one more may be sent; otherwise the page is told why not."""
        if self._open_questions >= SessionLimit.QUESTIONS:
            reply = {"status": "BUSY", "message": "this page has asked enough, wait for an answer"}
        elif not self._node.is_there:
            reply = {"status": "ERROR", "message": self._node.status()["text"]}
        else:
            self._open_questions += 1
            return True
        await self._send_text({"type": kind, "id": number, **reply})
        return False

    async def _ask(self, number: Any, question: str, mode: str) -> None:
        def progress(feedback: Any) -> None:
            message = {"type": "progress", "id": number, **progress_json(feedback)}
            self._loop.call_soon_threadsafe(lambda: self._spawn(self._send_text(message)))

        asked = self._node.ask(question, mode, self.camera, ANSWER_S, progress)
        try:
            await self._finish(number, "answer", asked.reply, answer_json)
        except asyncio.CancelledError:  # the page was closed: the model is free for others
            self._node.in_ros(asked.cancel)
            raise

    async def _measure(self, number: Any, u: float, v: float) -> None:
        future = self._node.measure(u, v, self.camera, ANSWER_S)
        await self._finish(number, "distance", future, distance_json)

    async def _finish(
        self, number: Any, kind: str, future: Any, convert: Callable[[Any], dict[str, Any]]
    ) -> None:
        """Wait for a future of another thread, and tell the page."""
        done: asyncio.Future[Any] = self._loop.create_future()
        try:
            future.add_done_callback(
                lambda f: self._loop.call_soon_threadsafe(_settle, done, _result(f))
            )
            found = await asyncio.wait_for(done, ANSWER_S + MARGIN_S)
            reply = convert(found) if found is not None else REFUSED
        except asyncio.TimeoutError:
            text = f"{self._node.target} sent no reply within {ANSWER_S:g} s: is it running?"
            reply = {"status": "TIMEOUT", "message": text}
        finally:
            self._open_questions -= 1
        await self._send_text({"type": kind, "id": number, **reply})


def _result(future: Any) -> Any:
    """What a finished future holds; None where it was cancelled or failed."""
    if future.cancelled() or future.exception() is not None:
        return None
    return future.result()


def _settle(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
