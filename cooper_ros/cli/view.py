"""A web page that shows camera, depth and segmentation, and takes questions.

For people without a ROS desktop: open the printed address in a browser. `--sim` also starts a
simulated camera and a node of its own, to have something to look at.
"""

from __future__ import annotations

import argparse
import contextlib
import json

EXAMPLE = "cooper view --sim 3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--node", default="cooper", help="perception node (default /cooper)")
    parser.add_argument(
        "--image", default="", metavar="TOPIC", help="camera topic (default: what the node reads)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1",
        help="address to listen on; 0.0.0.0 = the whole network, for whoever has the token that "
        "is printed",
    )  # fmt: skip
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a name under which the page may be opened, beside this machine's own addresses and "
        "its host name",
    )  # fmt: skip
    parser.add_argument(
        "--token", default="", help="what a page must show (default: a new one at every start)"
    )
    parser.add_argument(
        "--no-token", dest="token", action="store_const", const="none",
        help="everybody who reaches the address sees the camera and may ask",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=8080, help="0 = any free one (default 8080)")
    parser.add_argument(
        "--sim", type=int, metavar="SEED", help="start simulated camera and node as well"
    )


def run(args: argparse.Namespace) -> int:
    """Serve the page until ctrl-C."""
    import aiohttp  # noqa: F401 - a missing one is named before anything is started

    from cooper_ros.cli.processes import running, use_private_domain
    from cooper_ros.ros.view import node

    options = {
        "node": args.node, "image": args.image, "host": args.host, "port": args.port,
        "allow_host": ",".join(args.allow_host), "token": args.token,
    }  # fmt: skip
    given = [part for key, value in options.items() if value != ""
             for part in ("-p", f"{key}:={json.dumps(value)}")]  # fmt: skip
    with contextlib.ExitStack() as stack:
        if args.sim is not None:
            use_private_domain()
            stack.enter_context(
                running(
                    {
                        "node": ["cooper_ros.ros.node", "--ros-args",
                                 "-p", "no_image_warning_s:=30.0"],
                        "camera": ["cooper_ros.ros.sim_camera", "--ros-args",
                                   "-p", f"seed:={args.sim}"],
                    }
                )
            )  # fmt: skip
        return node.main(["cooper_view", "--ros-args", *given])
