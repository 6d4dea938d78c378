"""Record, play and ask about bags, for machines without `ros2 bag`.

Reads and writes the files of ros2 bag (MCAP and SQLite, rosbag2 version 9; reads older ones too).
`ask` puts the same questions to the frames of a bag and gives the same answers every time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXAMPLE = "cooper bag record run7 /image /camera_info --duration 60"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Actions and their arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_record(actions)
    _add_play(actions)
    _add_ask(actions)
    info = _action(actions, "info", "what a bag holds", "cooper bag info run7")
    info.add_argument("bag", type=Path, help="bag folder, .mcap or .db3 file")
    info.add_argument("--json", action="store_true", help="last line: one JSON object")
    mend = _action(
        actions, "repair", "give a recording that was cut off its index and metadata.yaml",
        "cooper bag repair run7",
    )  # fmt: skip
    mend.add_argument("bag", type=Path, help="bag folder, .mcap or .db3 file")
    mend.add_argument("--json", action="store_true", help="last line: one JSON object")


def _action(actions: Any, name: str, text: str, example: str) -> argparse.ArgumentParser:
    return actions.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_record(actions: Any) -> None:
    record = _action(actions, "record", "record topics until ctrl-C", EXAMPLE)
    record.add_argument("bag", type=Path, help="folder to make")
    record.add_argument("topics", nargs="*", help="topics, also ones that are not there yet")
    record.add_argument("-a", "--all", action="store_true", help="every topic")
    record.add_argument("--regex", default="", help="every topic that matches")
    record.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="default: mcap"
    )
    record.add_argument("--compress", action="store_true", help="with zstd: smaller, more work")
    record.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds")
    record.add_argument("--messages", type=int, metavar="N", help="stop after so many messages")
    record.add_argument("--use-sim-time", action="store_true", help="times of /clock")
    record.add_argument("--json", action="store_true", help="last line: one JSON object")


def _add_play(actions: Any) -> None:
    play = _action(
        actions, "play", "publish a bag's messages at their times",
        "cooper bag play run7 --clock 100 --remap /image:=/camera/image_raw",
    )  # fmt: skip
    play.add_argument("bag", type=Path, help="bag folder, .mcap or .db3 file")
    play.add_argument("--topics", nargs="+", metavar="TOPIC", help="only these")
    play.add_argument("--rate", type=float, default=1.0, help="speed, 1 = as recorded")
    play.add_argument("--start", type=float, default=0.0, metavar="S", help="skip so much [s]")
    play.add_argument("--stop", type=float, metavar="S", help="end there [s of the bag]")
    play.add_argument(
        "--loop", action=argparse.BooleanOptionalAction, default=False,
        help="again and again, until ctrl-C",
    )  # fmt: skip
    play.add_argument(
        "--clock", type=float, default=0.0, metavar="HZ",
        help="publish /clock so often, for nodes with use_sim_time",
    )  # fmt: skip
    play.add_argument(
        "--remap", action="append", default=[], metavar="OLD:=NEW", help="play under another name"
    )
    play.add_argument(
        "--wait", type=float, default=5.0, metavar="S",
        help="longest wait for a first reader before it starts (default 5)",
    )  # fmt: skip
    play.add_argument("--json", action="store_true", help="last line: one JSON object")


def _add_ask(actions: Any) -> None:
    ask = _action(
        actions, "ask", "ask about the frames of a bag; same bag and seed, same answers",
        'cooper bag ask run7 "how far is the mug ?" --every 10 --out answers.jsonl',
    )  # fmt: skip
    ask.add_argument("bag", type=Path, help="bag folder, .mcap or .db3 file")
    ask.add_argument("questions", nargs="+", help="asked about every chosen frame")
    ask.add_argument("--every", type=int, default=1, metavar="N", help="each n-th image")
    ask.add_argument("--limit", type=int, metavar="N", help="at most so many images")
    ask.add_argument("--image", default="", metavar="TOPIC", help="which camera")
    ask.add_argument("--camera-info", default="", metavar="TOPIC", help="its calibration")
    ask.add_argument("--mode", choices=("auto", "direct", "interleaved"), default="auto")
    ask.add_argument("--model", default="cooper-nano", help="model folder, name or path")
    ask.add_argument("--seed", type=int, default=0, help="of models that start from noise")
    ask.add_argument("--node", help="ask this running node instead of one of its own")
    ask.add_argument("--timeout", type=float, default=60.0, metavar="S", help="per question")
    ask.add_argument("--out", type=Path, metavar="FILE", help="answers as JSON lines")
    ask.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run an action."""
    args.ros_args = getattr(args, "ros_args", None)
    actions = {
        "record": _record, "play": _play, "ask": _ask, "info": _info, "repair": _repair
    }  # fmt: skip
    return actions[args.action](args)


def _start_ros(argv: list[str] | None = None) -> None:
    from rclpy.signals import SignalHandlerOptions

    from cooper_ros.ros.environment import start_ros

    start_ros(argv, signal_handler_options=SignalHandlerOptions.NO)


def _record(args: argparse.Namespace) -> int:
    import rclpy
    from rclpy.parameter import Parameter

    from cooper_ros.core import stopping
    from cooper_ros.core.errors import BagError
    from cooper_ros.ros.bags.recording import Recorder
    from cooper_ros.ros.guard import GuardedExecutor

    if bool(args.topics) + args.all + bool(args.regex) != 1:
        print("cooper bag record: name topics, or give --all or --regex", file=sys.stderr)
        return 2
    stop = stopping.event()
    _start_ros(args.ros_args)
    try:
        recorder = Recorder(
            args.bag,
            args.topics,
            pattern=args.regex,
            storage=args.storage,
            compress=args.compress,
            parameter_overrides=[Parameter("use_sim_time", value=args.use_sim_time)],
        )
        executor = GuardedExecutor()
        executor.add_node(recorder)
        timer = threading.Timer(args.duration or 0.0, stop.set)
        timer.daemon = True
        if args.duration:
            timer.start()
        limit = args.messages or sys.maxsize
        while not stop.is_set() and recorder.error is None and recorder.message_count < limit:
            executor.spin_once(timeout_sec=0.1)
        timer.cancel()
        executor.shutdown(timeout_sec=1.0)
        missing, counts = recorder.missing, dict(recorder.counts)
        there = sorted(name for name, _ in recorder.get_topic_names_and_types())
        recorder.close()
        if recorder.error is not None:
            raise recorder.error
    finally:
        rclpy.try_shutdown()
    for name in missing:
        print(f"cooper bag record: nobody published {name}", file=sys.stderr)
    if not sum(counts.values()):
        raise BagError(f"nothing was recorded; the topics here are: {', '.join(there)}")
    report = {"bag": str(recorder.path), "topics": counts, "problems": recorder.problems}
    _report(report | {"missing": missing}, args.json)
    return 1 if missing or recorder.problems else 0


def _play(args: argparse.Namespace) -> int:
    import rclpy

    from cooper_ros.core import stopping
    from cooper_ros.ros.bags.playing import Player

    stop = stopping.event()
    with _opened(args.bag) as bag:
        topics = None if args.topics is None else bag.choose(args.topics)
        _start_ros(args.ros_args)
        try:
            player = Player(
                bag, topics, rate=args.rate, clock_hz=args.clock, remaps=args.remap
            )
            if args.wait > 0.0 and not player.wait_for_readers(args.wait, stop):
                print("cooper bag play: nobody reads these topics yet", file=sys.stderr)
            while player.play(stop, start_s=args.start, stop_s=args.stop) and args.loop:
                pass
            counts, problems, names = dict(player.counts), dict(player.problems), player.topics
            player.destroy_node()
        finally:
            rclpy.try_shutdown()
    report = {"bag": str(args.bag), "topics": counts, "played_as": names, "problems": problems}
    _report(report, args.json)
    return 0


def _ask(args: argparse.Namespace) -> int:
    from cooper_ros.cli.processes import running, use_private_domain
    from cooper_ros.ros.bags.asking import ask_bag, digest_of, frames

    own = {} if args.node else {"node": _node_command(args)}
    with _opened(args.bag) as bag:
        image, info = bag.camera(args.image, args.camera_info)
        if info is None:
            print(f"no camera_info beside {image.name}: no metres", file=sys.stderr)
        if own:
            use_private_domain()
        from cooper_ros.ros.client import CooperClient

        records = []
        with running(own) as alive, CooperClient(args.node or "cooper", name="bag_ask") as client:
            while not client.wait_until_active(timeout_s=2.0 if own else args.timeout):
                alive()
                if not own:
                    print(f"cooper bag ask: {args.node} is not active", file=sys.stderr)
                    return 1
            pictures = frames(bag, image, info, args.every, args.limit)
            asked = ask_bag(
                client, pictures, args.questions, mode=args.mode, timeout_s=args.timeout
            )
            with open(args.out or os.devnull, "w", encoding="utf-8") as out:
                for record in asked:  # written as they come: an interrupted run keeps its answers
                    records.append(record)
                    out.write(json.dumps(record, sort_keys=True) + "\n")
                    out.flush()
                    _show(record, bag.start_ns)
    answered = sum(record["status"] == "OK" for record in records)
    digest = digest_of(records)
    print(f"{answered} of {len(records)} questions answered; all answers: sha256 {digest}")
    if args.json:
        print(json.dumps({"answers": records, "sha256": digest}))
    return 0 if records else 1


def _node_command(args: argparse.Namespace) -> list[str]:
    settings = {"model": args.model, "seed": args.seed, "no_image_warning_s": 0.0}
    given = [part for key, value in settings.items() for part in ("-p", f"{key}:={value}")]
    return ["cooper_ros.ros.node", "--ros-args", *given]


def _show(record: dict[str, Any], start_ns: int) -> None:
    seconds = (record["stamp_ns"] - start_ns) / 1e9
    said = record["text"] or f"({record['status']}: {record['message']})"
    measured = "" if record["measured"] is None else f", measured {record['measured']:.2f}"
    print(f"{seconds:9.3f} s  {record['question']:<40} {said}{measured}")


def _info(args: argparse.Namespace) -> int:

    with _opened(args.bag) as bag:
        duration = bag.duration_s
        report = {
            "bag": str(args.bag),
            "seconds": duration,
            "messages": bag.message_count,
            "lost": bag.lost,
            "topics": {t.name: {"type": t.type_name, "messages": t.count} for t in bag.topics},
        }
        print(f"{args.bag}: {bag.message_count} messages in {duration:.1f} s")
        for topic in bag.topics:
            rate = f"{(topic.count - 1) / duration:6.1f} Hz" if duration > 0.0 else ""
            print(f"  {topic.name:<40} {topic.type_name:<36} {topic.count:>7} {rate}")
    if args.json:
        print(json.dumps(report))
    return 0


def _repair(args: argparse.Namespace) -> int:
    from cooper_ros.core.errors import BagError
    from cooper_ros.ros.bags.reading import Bag
    from cooper_ros.ros.bags.repair import is_sound, repair

    if not args.bag.exists():
        raise BagError(f"there is no bag {args.bag}: give its folder, or a .mcap or .db3 file")
    sound = is_sound(args.bag)
    lost = [] if sound else repair(args.bag)
    with Bag(args.bag) as bag:
        count, seconds = bag.message_count, bag.duration_s
    done = "is whole, nothing was changed" if sound else "repaired"
    print(f"{args.bag}: {done}; {count} messages in {seconds:.1f} s")
    for problem in lost:
        print(f"  {problem}")
    if args.json:
        report = {"bag": str(args.bag), "repaired": not sound, "messages": count, "lost": lost}
        print(json.dumps(report))
    return 0


def _opened(path: Path) -> Any:
    """A bag, with a word about what is missing of it."""
    from cooper_ros.ros.bags.reading import Bag

    bag = Bag(path)
    if bag.lost:
        print(f"cooper bag: {bag.lost}", file=sys.stderr)
    return bag


def _report(report: dict[str, Any], as_json: bool) -> None:
    total = sum(report["topics"].values())
    print(f"{report['bag']}: {total} messages on {len(report['topics'])} topics")
    for name, count in sorted(report["topics"].items()):
        print(f"  {name:<48} {count:>7}")
    if as_json:
        print(json.dumps(report))


def main(argv: Sequence[str] | None = None) -> int:
    """Run it as the executable `cooper_bag`, with ROS arguments as launch files give them."""
    from rclpy.utilities import remove_ros_args

    from cooper_ros.cli import until_stopped
    from cooper_ros.core.errors import CooperError

    given = list(sys.argv if argv is None else argv)
    parser = argparse.ArgumentParser(prog="cooper_bag", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args(remove_ros_args(given)[1:])
    args.ros_args = given

    def action() -> int:
        try:
            return run(args)
        except CooperError as error:
            print(f"cooper_bag: {error}", file=sys.stderr)
            return 1

    return until_stopped(lambda: "cooper_bag", action)


if __name__ == "__main__":
    sys.exit(main())
