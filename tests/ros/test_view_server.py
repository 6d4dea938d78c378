"""The server of the web page, without browser and without ROS processes."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from socket import gethostname
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from aiohttp import ClientSession, WSServerHandshakeError, web
from harness import picture

from cooper_ros.action import Reason
from cooper_ros.core.types import SpatialAnswer, Status
from cooper_ros.ros.conversion import array_to_image
from cooper_ros.ros.messages import to_answer, to_header
from cooper_ros.ros.view.access import Access
from cooper_ros.ros.view.node import Asked
from cooper_ros.ros.view.pictures import (
    MAX_WIDTH,
    DepthRange,
    Picture,
    camera_picture,
    coloured_depth,
)
from cooper_ros.ros.view.server import access_of, make_app
from cooper_ros.ros.view.session import SessionLimit
from cooper_ros.srv import QueryDistance


class StandInWatch:
    """Counts versions up by hand."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.number, self.on_change, self.closed = 0, on_change, False
        self.objects: list[Any] = [{"label": "mug", "distance": None}]

    def version(self, panel: str) -> int:
        return self.number if panel != "segmentation" else 0

    def picture(self, panel: str) -> Any:
        if panel == "depth":
            return "the encoding '64FC9' cannot be shown"
        return Picture(bytes([self.number]) * 4, 5, 8, 6)

    def show(self, number: int) -> None:
        self.number = number
        self.on_change()

    def close(self) -> None:
        self.closed = True


class StandInNode:
    """A ViewNode without ROS; `replies` are futures that tests finish."""

    MODES = {"auto": 0}
    target = "/cooper"

    def __init__(
        self, host: str = "127.0.0.1", allow_host: str = "", token: str = ""
    ) -> None:
        self.host, self.is_there = host, True
        self.allow_host, self.token = allow_host, token
        self.watches: list[StandInWatch] = []
        self.replies: list[Any] = []
        self.handle = Mock()

    def value(self, name: str) -> Any:
        return {"host": self.host, "port": 0, "allow_host": self.allow_host,
                "token": self.token}[name]  # fmt: skip

    def cameras(self) -> list[str]:
        return ["front", "rear"]

    def image_topic(self, camera: str) -> tuple[str, str]:
        return (f"/{camera}/image", "sensor_msgs/msg/Image")

    def watch(self, camera: str, on_change: Callable[[], None]) -> StandInWatch:
        self.watches.append(StandInWatch(on_change))
        return self.watches[-1]

    def in_ros(self, work: Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work())
        return done

    def status(self) -> dict[str, Any]:
        return {"level": 0, "text": "fine", "values": {}}

    def age_s(self, stamp_ns: int) -> float:
        return 0.5

    def ask(self, question: str, mode: str, camera: str, timeout_s: float, progress: Any) -> Any:
        self.replies.append(Future())
        self.progress, self.asked = progress, Asked()
        self.asked.reply = self.replies[-1]
        self.asked._handle = self.handle
        return self.asked

    def measure(self, u: float, v: float, camera: str, timeout_s: float) -> Any:
        self.replies.append(Future())
        return self.replies[-1]


def serve(test: Callable[[StandInNode, ClientSession, str], Awaitable[None]], **how: Any) -> None:
    """Run a test against a server on a free port."""

    async def run() -> None:
        node = StandInNode(**how)
        node.access = access_of(node)
        runner = web.AppRunner(make_app(node, node.access), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with ClientSession() as client:
                await asyncio.wait_for(test(node, client, address), 60.0)
        finally:
            await runner.cleanup()

    asyncio.run(run())


async def receive(socket: Any, kind: str) -> dict[str, Any]:
    """The next text of a kind, or with kind "picture" the next binary header."""
    while True:
        message = await socket.receive()
        assert message.type.name in ("TEXT", "BINARY"), message
        if message.type.name == "BINARY":
            if kind == "picture":
                (length,) = struct.unpack_from("<I", message.data)
                header = json.loads(message.data[4 : 4 + length])
                return header | {"jpeg": message.data[4 + length :]}
        elif (found := json.loads(message.data))["type"] == kind:
            return found


def test_the_page_is_self_contained_and_may_load_nothing_else() -> None:
    async def test(node: StandInNode, client: ClientSession, address: str) -> None:
        for path, kind in (("/", "html"), ("/view.css", "css"), ("/view.js", "javascript")):
            async with client.get(f"http://{address}{path}") as reply:
                text = await reply.text()
                assert reply.status == 200 and kind in reply.content_type
                assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
                assert "http://" not in text and "https://" not in text
        for path in ("/../node.py", "/page/index.html", "/socket/x", "/%2e%2e/node.py"):
            async with client.get(f"http://{address}{path}") as reply:
                assert reply.status == 404

    serve(test)


def test_other_sites_cannot_reach_it() -> None:
    async def test(node: StandInNode, client: ClientSession, address: str) -> None:
        for headers in ({"Host": "robot.example"}, {"Origin": "http://evil.example"}):
            async with client.get(f"http://{address}/", headers=headers) as reply:
                assert reply.status == 403
            with pytest.raises(WSServerHandshakeError):
                await client.ws_connect(f"http://{address}/socket", headers=headers)
        good = {"Origin": f"http://{address}"}
        async with client.ws_connect(f"http://{address}/socket", headers=good):
            pass

    serve(test)


def test_names_under_which_it_is_served() -> None:
    async def status(client: ClientSession, address: str, name: str) -> int:
        async with client.get(f"http://{address}/", headers={"Host": name}) as reply:
            return reply.status

    async def here(node: StandInNode, client: ClientSession, address: str) -> None:
        port = address.rpartition(":")[2]
        for good in ("localhost", f"LOCALHOST:{port}", "127.0.0.1", f"[::1]:{port}", "[::1]"):
            assert await status(client, address, good) == 200, good
        for bad in (own, "robot.lan", "evil.example", f"evil.example:{port}", "[::2]", ""):
            assert await status(client, address, bad) in (400, 403), bad

    async def network(node: StandInNode, client: ClientSession, address: str) -> None:
        for good in (own, f"{own}.", "robot.lan:80", "ROBOT2", "127.0.0.1", "localhost"):
            assert await status(client, address, good) == 200, good
        for bad in ("evil.example", "robot.lan.evil.example", "192.0.2.7"):
            assert await status(client, address, bad) == 403, bad

    own = gethostname()
    serve(here)
    serve(network, host="0.0.0.0", allow_host="robot.lan, robot2", token="none")


def test_on_the_network_a_token_is_asked_for() -> None:
    async def test(node: StandInNode, client: ClientSession, address: str) -> None:
        token = node.access.token
        assert len(token) >= 16
        for path in ("/", "/view.js", "/?token=", "/?token=wrong", f"/?token={token}x"):
            async with client.get(f"http://{address}{path}") as reply:
                assert reply.status == 401 and token not in await reply.text()
        with pytest.raises(WSServerHandshakeError):
            await client.ws_connect(f"http://{address}/socket")
        async with client.get(
            f"http://{address}/?token={token}", allow_redirects=False
        ) as reply:
            cookie = reply.headers["Set-Cookie"]
            assert reply.status == 303 and reply.headers["Location"] == "/"
            assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
        headers = {"Cookie": cookie.partition(";")[0]}
        for path in ("/", "/view.js"):
            async with client.get(f"http://{address}{path}", headers=headers) as reply:
                assert reply.status == 200
        async with client.ws_connect(f"http://{address}/socket", headers=headers) as page:
            await receive(page, "status")
        async with client.ws_connect(f"http://{address}/socket?token={token}"):
            pass  # for programs

    serve(test, host="0.0.0.0")
    serve(test, host="::")
    serve(test, host="127.0.0.1", token="chosen-by-somebody")


def test_options_reach_the_node_as_text(ros: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quoted: a token of digits is no number."""
    from cooper_ros.cli import main
    from cooper_ros.ros.view import node

    given: list[str] = []
    monkeypatch.setattr(node, "main", lambda argv: given.extend(argv) or 0)
    words = ["--host", "0.0.0.0", "--allow-host", "a.lan", "--allow-host", "b", "--token", "123"]
    assert main(["view", *words]) == 0
    assert {'host:="0.0.0.0"', 'allow_host:="a.lan,b"', 'token:="123"', "port:=8080"} <= set(given)
    made = node.ViewNode(cli_args=given[1:])
    assert (made.value("token"), made.value("allow_host")) == ("123", "a.lan,b")
    made.close()


def test_the_printed_address() -> None:
    assert Access("127.0.0.1").address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert Access("::1").address("::1", 80) == "http://[::1]:80/"
    one, other = Access("0.0.0.0"), Access("0.0.0.0")
    assert one.token and one.token != other.token
    address = one.address("0.0.0.0", 8080)
    assert address.endswith(f":8080/?token={one.token}") and "0.0.0.0" not in address
    assert Access("robot.lan", token="none").address("robot.lan", 1) == "http://robot.lan:1/"


def test_a_slow_page_gets_the_newest_pictures_only() -> None:
    async def test(node: StandInNode, client: ClientSession, address: str) -> None:
        async with client.ws_connect(f"http://{address}/socket") as socket:
            status = await receive(socket, "status")
            assert status["cameras"] == ["front", "rear"] and status["camera"] == "front"
            watch = node.watches[0]
            watch.show(1)
            first = await receive(socket, "picture")
            assert first["jpeg"] == b"\1" * 4 and first["age"] == 0.5 and first["width"] == 8
            problem = await receive(socket, "problem")
            assert problem["panel"] == "depth" and "64FC9" in problem["text"]
            assert (await receive(socket, "objects"))["objects"][0]["label"] == "mug"
            await receive(socket, "batch")
            for number in range(2, 9):  # the page is still drawing
                watch.show(number)
            await socket.send_json({"type": "ready"})
            assert (await receive(socket, "picture"))["jpeg"] == b"\10" * 4
            await socket.send_json({"type": "camera", "name": "rear"})
            while (await receive(socket, "status"))["camera"] != "rear":
                pass
            assert watch.closed and len(node.watches) == 2
        while not node.watches[1].closed:
            await asyncio.sleep(0)

    serve(test)


def test_questions_and_their_limits() -> None:
    async def test(node: StandInNode, client: ClientSession, address: str) -> None:
        async with client.ws_connect(f"http://{address}/socket") as socket:
            for number in range(SessionLimit.QUESTIONS + 1):
                await socket.send_json({"type": "ask", "id": number, "question": "how far ?"})
            busy = await receive(socket, "answer")
            assert busy["id"] == SessionLimit.QUESTIONS and busy["status"] == "BUSY"
            assert len(node.replies) == SessionLimit.QUESTIONS
            feedback = Reason.Feedback(state=4, turn=2, text_delta="<think>", queue_position=1)
            feedback.direct_answer = to_answer(
                SpatialAnswer("far ?", status=Status.OK, text="1.4 m", value=1.4, unit="m")
            )
            node.progress(feedback)
            told = await receive(socket, "progress")
            assert (told["state"], told["queue"], told["turn"]) == ("thinking", 1, 2)
            assert told["delta"] == "<think>" and told["direct"] == "1.4 m"
            answer = SpatialAnswer("far ?", status=Status.OK, text="1.5 m", value=1.5, unit="m")
            node.replies[1].set_result(Reason.Result(answer=to_answer(answer)))
            got = await receive(socket, "answer")
            assert got["id"] == 1 and got["value"] == 1.5 and got["measured"] is None
            await socket.send_json({"type": "measure", "id": 9, "u": 3.0, "v": 4.0})
            while len(node.replies) == SessionLimit.QUESTIONS:
                await asyncio.sleep(0)
            reply = QueryDistance.Response(status=int(Status.OK), distances=[2.0])
            node.replies[-1].set_result(reply)
            assert (await receive(socket, "distance"))["distance"] == 2.0
            node.replies[2].set_result(None)
            assert "did not take" in (await receive(socket, "answer"))["message"]
            node.is_there = False
            await socket.send_json({"type": "ask", "id": 10, "question": "how far ?"})
            assert (await receive(socket, "answer"))["status"] == "ERROR"
            node.handle.cancel_goal_async.assert_not_called()
        while not node.handle.cancel_goal_async.called:  # the page has gone
            await asyncio.sleep(0)

    serve(test)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "7", "null", '{"type": 3}', '{"type": "ask"}', '{"type": "camera"}',
        '{"type": "measure", "u": "x", "v": 1}', '{"type": "measure", "u": NaN, "v": 1}',
        json.dumps({"type": "ask", "question": "x" * (SessionLimit.LENGTH + 1)}),
        json.dumps({"type": "ask", "question": "x", "mode": "loud"}),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_said(text: str) -> None:
    async def test(node: StandInNode, client: ClientSession, address: str) -> None:
        async with client.ws_connect(f"http://{address}/socket") as socket:
            await socket.send_str(text)
            assert "not understood" in (await receive(socket, "error"))["text"]
            await socket.send_json({"type": "ask", "id": 1, "question": "still there ?"})
            while not node.replies:
                await asyncio.sleep(0)

    serve(test)


def test_no_more_pages_than_allowed() -> None:
    async def test(node: StandInNode, client: ClientSession, address: str) -> None:
        url = f"http://{address}/socket"
        sockets = [await client.ws_connect(url) for _ in range(SessionLimit.PAGES)]
        for socket in sockets:
            await receive(socket, "status")
        refused = await client.ws_connect(url)
        message = await refused.receive()
        assert message.type.name == "CLOSE" and "too many" in message.extra
        for socket in sockets:
            await socket.close()

    serve(test)


def test_pictures_keep_their_meaning() -> None:
    wide = np.zeros((540, 1920, 3), np.uint8)
    wide[:, 960:] = (250, 10, 10)
    made = camera_picture(array_to_image(wide, "rgb8", to_header(7, "cam")))
    assert (made.width, made.height, made.stamp_ns, made.near) == (1920, 540, 7, None)
    back = cv2.imdecode(np.frombuffer(made.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert back.shape == (270, MAX_WIDTH, 3)
    assert np.abs(back[100, 800].astype(int) - (10, 10, 250)).max() < 10
    depth = np.linspace(1.0, 3.0, 48 * 64, dtype=np.float32).reshape(48, 64)
    depth[:4] = np.nan
    limits = DepthRange()
    first = coloured_depth(array_to_image(depth, "32FC1", to_header(7, "cam")), limits, "m")
    assert 1.0 < first.near < 1.3 and 2.8 < first.far < 3.0 and first.unit == "m"
    back = cv2.imdecode(np.frombuffer(first.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert back[20, 10].sum() > back[46, 60].sum() + 100, "near must be brighter than far"
    assert np.ptp(back[1, 30].astype(int)) < 16, "unknown must be grey"
    jump = coloured_depth(array_to_image(depth * 9, "32FC1", to_header(8, "cam")), limits, "m")
    assert first.far < jump.far < 0.5 * first.far * 9, "the scale must not jump"
    nothing = array_to_image(np.full((4, 4), np.nan, np.float32), "32FC1", to_header(9, "c"))
    assert coloured_depth(nothing, DepthRange(), "").far == 1.0
    with pytest.raises(ValueError):
        camera_picture(array_to_image(depth, "32FC1", to_header(7, "cam")))
    assert picture().shape == (240, 320, 3)


def test_without_aiohttp_the_executable_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    from cooper_ros.ros.view import node

    monkeypatch.delitem(sys.modules, "cooper_ros.ros.view.server")
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert node.main([]) == 1
    assert "python3-aiohttp" in capsys.readouterr().err
