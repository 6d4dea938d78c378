"""One node under siege: the process, its camera, its clients, and whether it is in good health."""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "soak"), str(TESTS / "ros"), str(TESTS.parent)]

from builtin_interfaces.msg import Duration  # noqa: E402
from harness import Bench, Process, room_image, room_info, start_ros  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from parts import memory_mib  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from cooper_ros.core.paths import find_model_folder  # noqa: E402
from cooper_ros.msg import DepthInfo, SpatialAnswer  # noqa: E402
from cooper_ros.ros.messages import time_to_ns  # noqa: E402
from cooper_ros.ros.qos import QuestionQoS, StandardTopicQoS  # noqa: E402
from cooper_ros.srv import AskSpatial, CalibrateScale, GetModelInfo, QueryDistance  # noqa: E402

QUESTION = "how many chairs are there ?"
HEALTHY = (
    SpatialAnswer.STATUS_OK,
    SpatialAnswer.STATUS_DISAGREES,
    SpatialAnswer.STATUS_NOT_VISIBLE,
)
SETTLE_S = 3.0


class Stage:
    """What attacks use. `random` is seeded; `model` is the folder that the node uses, a copy."""

    def __init__(self, work: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.work = work
        self.model = Path(shutil.copytree(find_model_folder(), work / "model"))
        start_ros()
        self.bench = Bench("siege", period_s=0.1)
        arguments = ("--ros-args", "-p", f"model:={self.model}", "-p", "threads:=1")
        self.node = Process("cooper_ros.ros.node", *arguments, log=work / "node.log")
        make = self.bench.node.create_client
        deep = QuestionQoS()
        self.asking = make(AskSpatial, "cooper/ask", qos_profile=deep)
        self.querying = make(QueryDistance, "cooper/query_distance", qos_profile=deep)
        self.calibrating = make(CalibrateScale, "cooper/calibrate_scale")
        self.enabling = make(SetBool, "cooper/enable")
        self.informing = make(GetModelInfo, "cooper/model_info")
        self.setting = make(SetParameters, "cooper/set_parameters")
        self._change = make(ChangeState, "cooper/change_state")
        self._state = make(GetState, "cooper/get_state")
        self._newest_ns = 0
        self.bench.node.create_subscription(
            DepthInfo, "cooper/depth/info", self._on_map, StandardTopicQoS()
        )

    def _on_map(self, message: DepthInfo) -> None:
        with self.bench.changed:
            self._newest_ns = time_to_ns(message.header.stamp)
            self.bench.changed.notify_all()

    def close(self) -> int:
        """Stop everything; the node's exit code."""
        code = self.node.stop()
        self.bench.close()
        return code

    # -- for attacks -------------------------------------------------------------------------

    def wait(self, condition: Callable[[], Any]) -> Any:
        """The first true value of `condition()`."""
        return self.bench.wait(condition, self.node)

    def call(self, client: Any, request: Any) -> Any:
        """A reply; every call must get one."""
        return self.bench.call(client, request, self.node)

    def start(self, client: Any, request: Any) -> Any:
        """Call, and wait for the reply later (`bench.finish`)."""
        return self.bench.start(client, request, self.node)

    def question(self, text: str = QUESTION, seconds: int = 60, **fields: Any) -> Any:
        """A request."""
        return AskSpatial.Request(question=text, timeout=Duration(sec=seconds), **fields)

    def transition(self, number: int) -> bool:
        """Ask for a lifecycle transition; whether it was made."""
        request = ChangeState.Request(transition=Transition(id=number))
        return bool(self.call(self._change, request).success)

    def fresh_map(self) -> None:
        """Wait until an image that is published from now on has become a map."""
        since = self.bench.node.get_clock().now().nanoseconds
        self.wait(lambda: self._newest_ns >= since)

    # -- between attacks ---------------------------------------------------------------------

    def recover(self) -> None:
        """What a user would do after it: camera on, node on. Then it must see and answer."""
        self.bench.show(room_image(), room_info())
        label = self.call(self._state, GetState.Request()).current_state.label
        if label == "unconfigured":
            assert self.transition(Transition.TRANSITION_CONFIGURE), self.node.log[-2000:]
            label = "inactive"
        if label == "inactive":
            assert self.transition(Transition.TRANSITION_ACTIVATE), self.node.log[-2000:]
        self.call(self.enabling, SetBool.Request(data=True))
        self.fresh_map()
        busy = SpatialAnswer.STATUS_BUSY
        while (reply := self.call(self.asking, self.question())).answer.status == busy:
            time.sleep(0.1)  # as a client does; what others left in the queue is being answered
        assert reply.answer.status in HEALTHY, (reply.answer.status, reply.message)

    def memory_mib(self) -> float:
        """Memory of the node when it has settled: its lowest of a few seconds. Its own (anonymous)
        pages: shared ones are the transport's, whose size is fixed, filled as messages go round."""
        for _ in range(6):  # more than the node keeps: what it keeps is of the camera as it is now
            self.fresh_map()
            self.call(self.asking, self.question())
        end, lowest = time.monotonic() + SETTLE_S, float("inf")
        while time.monotonic() < end:
            lowest = min(lowest, memory_mib(self.node.popen.pid)[1])
            time.sleep(0.1)
        return round(lowest, 1)
