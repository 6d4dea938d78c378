"""Who may open the page: under which name of this machine, and with which token."""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Sequence

LOOPBACK = ("127.0.0.1", "::1", "localhost")
EVERY_ADDRESS = ("", "0.0.0.0", "::")
NO_TOKEN = "none"
UNROUTED = ("192.0.2.1", 9)
"""An address of the documentation: which of our own addresses would speak to it is asked of the
kernel; nothing is sent."""


class Access:
    """What a page must say to be served.

    `host`: the address that is listened on; `allowed`: more names for this machine, beside its
    addresses and its host name. `token`: what a page must show; "" = one is made where others than
    this machine can reach it, `none` = none is asked for.

    A page of a foreign site reaches a robot through its visitor's browser: by a name of its own
    that resolves to the robot. The list of names stops that, also inside the robot's network.
    """

    def __init__(self, host: str, allowed: Sequence[str] = (), token: str = "") -> None:
        self._names = {name_of(name) for name in allowed} | set(LOOPBACK)
        self.local_only = host in LOOPBACK
        if not self.local_only:
            own = socket.gethostname().lower()
            self._names |= {own, f"{own.partition('.')[0]}.local"}
            self._names |= set() if host in EVERY_ADDRESS else {name_of(host)}
        self.token = "" if token == NO_TOKEN else token
        if not token and not self.local_only:
            self.token = secrets.token_urlsafe(12)

    def is_named(self, header: str, own_address: str) -> bool:
        """Whether a Host header names this machine; `own_address`: the one that was connected to.
        """
        return name_of(header) in self._names | {own_address.partition("%")[0]}

    def is_token(self, shown: str) -> bool:
        """Whether this is the token; always where none is asked for."""
        return not self.token or hmac.compare_digest(shown.encode(), self.token.encode())

    def address(self, host: str, port: int) -> str:
        """What people type."""
        shown = reachable_address() if host in EVERY_ADDRESS else host
        shown = f"[{shown}]" if ":" in shown else shown
        return f"http://{shown}:{port}/" + (f"?token={self.token}" if self.token else "")


def name_of(header: str) -> str:
    """The name or address in a Host header, without port, brackets and dot at the end."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    name = header if header.count(":") > 1 else header.partition(":")[0]
    return name.lower().rstrip(".")


def reachable_address() -> str:
    """An address of this machine for others, by its routes; its host name where there is none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.connect(UNROUTED)
            return str(asked.getsockname()[0])
    except OSError:
        return socket.gethostname()
