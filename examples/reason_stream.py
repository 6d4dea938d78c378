"""Watch an answer come: a quick one first, the thought as it is written, then the one to act on."""

import sys

from cooper_ros.core.types import Status
from cooper_ros.ros.client import CooperClient

question = " ".join(sys.argv[1:]) or "how far is the table ?"

with CooperClient() as cooper:
    if not cooper.wait_until_active(timeout_s=60.0):
        raise SystemExit("the perception node is not running")
    with cooper.reason(question, return_maps=True, timeout_s=20.0) as goal:
        for progress in goal:
            print(progress.text, end="", flush=True)
            if progress.direct is not None:
                print(f"\n[{progress.elapsed_s:.2f} s] at first sight: {progress.direct.text}")
            if progress.map is not None:
                kind = progress.steps[0].type.name.lower()
                print(f"\n[{progress.elapsed_s:.2f} s] {kind} map, {progress.map.shape}")
        result = goal.result()
    answer = result.answer
    if answer.status is not Status.OK:
        raise SystemExit(f"{answer.status.name.lower()}: {answer.message}")
    print(f"\n{answer.text} (measured on the maps: {answer.measured:.2f}, agree: {answer.agree})")

    # more about the very same image: its maps are there, only the new words cost anything
    more = cooper.ask("how much free space is ahead ?", about=answer)
    print(f"{more.question} {more.text or more.message}")
