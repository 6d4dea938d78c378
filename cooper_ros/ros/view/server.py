"""The web server of `cooper view`: three files and one web socket (aiohttp).

On the socket the server sends JSON texts (`status`, `objects`, `answer`, `distance`) and binary
pictures: 4 bytes length of a JSON header (little endian), the header, the JPEG. The page answers
each batch of pictures with `ready`; a slow page gets fewer pictures, never older ones.
"""

from __future__ import annotations

import asyncio
import json
import signal
import struct
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from cooper_ros.core import stopping
from cooper_ros.core.errors import CooperError
from cooper_ros.ros.view.access import Access
from cooper_ros.ros.view.session import Session, SessionLimit

PAGE = Path(__file__).with_name("page")
FILES = {"/": "index.html", "/view.css": "view.css", "/view.js": "view.js"}
COOKIE = "cooper_view"
"""Name of the cookie that keeps the token, with the port behind it: cookies know no ports."""
MAX_MESSAGE = 16384
"""Longest text that a page may send [bytes]."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ServeError(CooperError):
    """The page cannot be served."""


def access_of(node: Any) -> Access:
    """Who may open the page, by the node's parameters."""
    names = [name.strip() for name in node.value("allow_host").split(",") if name.strip()]
    return Access(node.value("host"), names, node.value("token"))


def make_app(node: Any, access: Access) -> web.Application:
    """The application for one ViewNode."""
    sockets: set[web.WebSocketResponse] = set()

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # A page of a foreign site must not reach a robot through its visitor's browser: neither by
        # a name that resolves to this machine, nor by opening the socket from elsewhere.
        own = request.transport.get_extra_info("sockname") if request.transport else None
        if not access.is_named(request.host, str(own[0]) if own else ""):
            raise web.HTTPForbidden(
                text=f"this page is not served as {request.host}: use the address that was "
                "printed, or start it with --allow-host NAME"
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            raise web.HTTPForbidden(text=f"opened from {origin}, which is not this page")
        cookie = f"{COOKIE}_{own[1] if own else 0}"
        shown = request.query.get("token", "")
        if not access.is_token(shown or request.cookies.get(cookie, "")):
            raise web.HTTPUnauthorized(
                text="open the address with ?token=... that `cooper view` printed at its start"
            )
        if shown and access.token and request.path == "/":
            # Out of the address line and the history. Lax: sent on the way back here, and never
            # from within another site's page.
            response: web.StreamResponse = web.HTTPSeeOther("/")
            response.set_cookie(cookie, shown, httponly=True, samesite="Lax", path="/")
        else:
            response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def file(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / FILES[request.path])

    async def socket(request: web.Request) -> web.StreamResponse:
        return await _talk(node, request, sockets)

    app = web.Application(middlewares=[guard], client_max_size=MAX_MESSAGE)
    for path in FILES:
        app.router.add_get(path, file)
    app.router.add_get("/socket", socket)

    async def close_sockets(_: web.Application) -> None:
        for open_socket in list(sockets):
            await open_socket.close()

    app.on_shutdown.append(close_sockets)
    return app


async def _talk(
    node: Any, request: web.Request, sockets: set[web.WebSocketResponse]
) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=MAX_MESSAGE)
    await socket.prepare(request)
    if len(sockets) >= SessionLimit.PAGES:
        await socket.close(code=1013, message=b"too many pages are open")
        return socket
    sockets.add(socket)

    async def send_text(message: dict[str, Any]) -> None:
        if not socket.closed:
            await socket.send_str(json.dumps(message))

    async def send_picture(header: dict[str, Any], jpeg: bytes) -> None:
        if not socket.closed:
            text = json.dumps(header).encode()
            await socket.send_bytes(struct.pack("<I", len(text)) + text + jpeg)

    session = Session(node, send_text, send_picture)
    try:
        await session.start()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await session.receive(message.data)
    except ConnectionError:
        pass  # the page has gone while something was sent
    finally:
        sockets.discard(socket)
        await session.close()
    return socket


async def serve(node: Any) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP; returns the exit code. Prints the page's address."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stopping.SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, stop.set)
    host, port = node.value("host"), int(node.value("port"))
    access = access_of(node)
    runner = web.AppRunner(make_app(node, access), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ServeError(
                f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another "
                "port (--port, 0 = any free one)"
            ) from error
        address = access.address(host, runner.addresses[0][1])
        print(f"cooper view: {address}  (ctrl-C ends it)", flush=True)
        if not access.local_only and not access.token:
            print(
                "cooper view: everybody who reaches this address sees the camera and may ask",
                file=sys.stderr,
            )
        await stop.wait()
    except ServeError as error:
        print(f"cooper view: {error}", file=sys.stderr)
        return 1
    finally:
        await runner.cleanup()
    return 0
