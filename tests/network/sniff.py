"""Runs a command in a network of its own, and says what it sent.

    unshare --net python sniff.py REPORT COMMAND...

The network has loopback and a way out that leads nowhere: a packet to any address is sent, and
counted. REPORT becomes JSON: {"rc", "packets": [[protocol, address, port, start of the payload as
hex]]}, protocol "tcp" or "udp", each kind of packet once. What the kernel itself says to a new link
(neighbours, routers) is neither and not listed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

ALL_PROTOCOLS = 0x0003
TCP, UDP = 6, 17
WAYS = (
    "link set lo up",
    "link add out type veth peer name nowhere",
    "link set out arp off multicast on up",
    "link set nowhere up",
    "addr add 192.0.2.2/24 dev out",
    "route add default via 192.0.2.1 dev out",
)

Packet = tuple[str, str, int, str]


def parse(packet: bytes) -> Packet | None:
    """Protocol, address, port and payload of an IP packet without options that change its way."""
    if packet[0] >> 4 == 4:
        header, protocol = 4 * (packet[0] & 15), packet[9]
        address = socket.inet_ntop(socket.AF_INET, packet[16:20])
    else:
        header, protocol = 40, packet[6]
        address = socket.inet_ntop(socket.AF_INET6, packet[24:40])
    if protocol not in (TCP, UDP):
        return None
    port = struct.unpack_from("!H", packet, header + 2)[0]
    return "udp" if protocol == UDP else "tcp", address, port, packet[header + 8 :][:4].hex()


def listen(socket_: socket.socket, found: set[Packet], over: threading.Event) -> None:
    """Collect packets until `over`, and what has been sent by then."""
    while True:
        try:
            data, (_, protocol, *_) = socket_.recvfrom(65536)
        except TimeoutError:
            if over.is_set():
                return
            continue
        if protocol in (0x0800, 0x86DD) and (packet := parse(data)):
            found.add(packet)


def main(report: Path, command: list[str]) -> int:
    """See the module. SIGTERM and SIGINT are for the command."""
    for way in WAYS:
        subprocess.run(["ip", *way.split()], check=True)
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(ALL_PROTOCOLS))
    heard.settimeout(0.1)
    found: set[Packet] = set()
    over = threading.Event()
    thread = threading.Thread(target=listen, args=(heard, found, over))
    thread.start()
    process = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
    code = process.wait()
    over.set()
    thread.join()
    report.write_text(json.dumps({"rc": code, "packets": sorted(found)}))
    return code


if __name__ == "__main__":
    os._exit(main(Path(sys.argv[1]), sys.argv[2:]))
