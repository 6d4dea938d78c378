"""Walk up to the mug, but only when two independent numbers agree that it is out of reach."""

from cooper_ros.core.types import Status
from cooper_ros.ros.client import CooperClient

REACH_M = 0.8

with CooperClient() as cooper:
    if not cooper.wait_until_active(timeout_s=60.0):
        raise SystemExit("the perception node is not running")
    answer = cooper.distance("mug")
    if answer.status is Status.AMBIGUOUS:
        print("several mugs:", [round(mug.distance_m, 2) for mug in answer.objects])
    elif answer.status is not Status.OK:
        print("no answer:", answer.message)
    elif not answer.agree:  # not contradicted (that is DISAGREES), but not confirmed either
        print(f"the model says {answer.value} m, its maps say {answer.measured} m: look again")
    elif answer.value > REACH_M:
        print(f"drive {answer.value - REACH_M:.2f} m closer")
    else:
        print(f"grasp at {answer.objects[0].position} in {answer.frame_id}")
