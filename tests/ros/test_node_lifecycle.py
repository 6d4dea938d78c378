"""Life of the node process: transitions, bad model folders, stopping in the middle of work."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from harness import WAIT_S, Bench, Process, room_image, room_info
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from reasoning import Reasoner

from cooper_ros.core.paths import find_model_folder
from cooper_ros.msg import DepthInfo, LabelInfo, SpatialAnswer
from cooper_ros.ros.qos import LatchedSubscriptionQoS, StandardTopicQoS
from cooper_ros.srv import AskSpatial


class Remote:
    """Lifecycle, parameters and questions of one node process."""

    def __init__(self, bench: Bench, process: Process, name: str = "cooper") -> None:
        make = bench.node.create_client
        self.bench, self.process = bench, process
        self._change = make(ChangeState, f"{name}/change_state")
        self._state = make(GetState, f"{name}/get_state")
        self._set = make(SetParameters, f"{name}/set_parameters")
        self.client = make(AskSpatial, f"{name}/ask")

    def transition(self, number: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=number))
        return bool(self.bench.call(self._change, request, self.process).success)

    @property
    def state(self) -> str:
        reply = self.bench.call(self._state, GetState.Request(), self.process)
        return str(reply.current_state.label)

    def use_model(self, path: Path) -> None:
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(path))
        request = SetParameters.Request(parameters=[Parameter(name="model", value=value)])
        assert self.bench.call(self._set, request, self.process).results[0].successful

    def ask(self, question: str = "is there a chair ?") -> Any:
        request = AskSpatial.Request(question=question)
        return self.bench.call(self.client, request, self.process)


@pytest.fixture(scope="module")
def sleeping(ros: None, bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """A node that waits for transitions."""
    process = Process(
        "cooper_ros.ros.node",
        *("--ros-args", "-p", "autostart:=false"),
        log=tmp_path_factory.mktemp("sleeping") / "node.log",
    )
    yield Remote(bench, process)
    assert process.stop() == 0, process.log


@pytest.fixture
def model_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_model_folder(), tmp_path / "model"))


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def truncate(folder: Path) -> None:
    shard = max(folder.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-1000])


def flip_a_byte(folder: Path) -> None:
    shard = max(folder.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0xFF
    shard.write_bytes(bytes(data))


def change_version(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    version = next(key for key in manifest if "version" in key)
    manifest[version] = 999
    (folder / "manifest.json").write_text(json.dumps(manifest))


def break_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{ this is no JSON")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove, "model"),
        (truncate, "safetensors"),
        (flip_a_byte, "safetensors"),
        (change_version, "999"),
        (break_manifest, "manifest.json"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_model_folder_is_explained_and_the_node_stays(
    sleeping: Remote, model_copy: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(model_copy)
    sleeping.use_model(model_copy)
    reports = sleeping.bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())
    assert not sleeping.transition(Transition.TRANSITION_CONFIGURE)
    assert sleeping.state == "unconfigured"
    reply = sleeping.ask()
    assert reply.answer.status == SpatialAnswer.STATUS_ERROR and not reply.success
    assert "no model is loaded" in reply.message
    assert reason in reply.message and str(model_copy) in reply.message
    sleeping.bench.wait(
        lambda: any(str(model_copy) in m.status[0].message for m in reports), sleeping.process
    )


def test_transitions_take_and_give_back(sleeping: Remote) -> None:
    """After a good model is given, the same process works; and again after cleanup."""
    sleeping.use_model(find_model_folder())
    bench = sleeping.bench
    labels = bench.listen(LabelInfo, "cooper/segmentation/label_info", LatchedSubscriptionQoS())
    infos = bench.listen(DepthInfo, "cooper/depth/info", StandardTopicQoS())
    for _ in range(2):
        labels.clear()
        infos.clear()
        assert sleeping.transition(Transition.TRANSITION_CONFIGURE), sleeping.process.log
        assert sleeping.state == "inactive"
        reply = sleeping.ask()
        assert reply.answer.status == SpatialAnswer.STATUS_ERROR
        assert "not active" in reply.message
        assert sleeping.transition(Transition.TRANSITION_ACTIVATE)
        bench.wait(lambda: labels, sleeping.process)
        assert "mug" in labels[0].names and len(labels[0].names) == len(labels[0].class_ids)
        bench.show(room_image(), room_info())
        bench.wait(lambda: infos, sleeping.process)
        bench.show()
        assert sleeping.transition(Transition.TRANSITION_DEACTIVATE)
        assert sleeping.state == "inactive"
        assert sleeping.transition(Transition.TRANSITION_CLEANUP)
        assert sleeping.state == "unconfigured"
        # A reader that comes late must not hear of labels of a model that is gone.
        late = bench.listen(
            LabelInfo, "cooper/segmentation/label_info", LatchedSubscriptionQoS()
        )
        sleeping.ask()
        assert not late


def test_transitions_that_do_not_exist_are_refused(sleeping: Remote) -> None:
    """Each of them ended the process: rclpy raises in the service's handler."""
    reports = sleeping.bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())
    for number in (99, Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CLEANUP):
        assert not sleeping.transition(number)
    assert sleeping.state == "unconfigured"
    said = sleeping.bench.wait(
        lambda: [v.value for m in reports for v in m.status[0].values
                 if v.key == "errors in callbacks" and v.value == "3"],
        sleeping.process,
    )  # fmt: skip
    assert said and sleeping.process.log.count("error in a callback, the node goes on") == 1


def test_a_manifest_that_no_message_can_hold(sleeping: Remote, model_copy: Path) -> None:
    """A lone surrogate in a name: whether the model is refused or not, the node goes on."""
    path = model_copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["name"] = "nano\udcff"
    path.write_text(json.dumps(manifest))
    sleeping.use_model(model_copy)
    reports = sleeping.bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())
    if sleeping.transition(Transition.TRANSITION_CONFIGURE):
        assert sleeping.transition(Transition.TRANSITION_CLEANUP)
    sleeping.bench.wait(lambda: len(reports) > 1, sleeping.process)
    assert not sleeping.ask().success


def test_a_model_that_needs_more_memory_than_allowed_is_not_used(sleeping: Remote) -> None:
    sleeping.use_model(find_model_folder())
    for limit, configured in ((10, False), (0, True)):
        value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=limit)
        request = SetParameters.Request(parameters=[Parameter(name="max_memory_mib", value=value)])
        assert sleeping.bench.call(sleeping._set, request, sleeping.process).results[0].successful
        assert sleeping.transition(Transition.TRANSITION_CONFIGURE) is configured
        if not configured:
            assert "more than 10 (parameter max_memory_mib)" in sleeping.ask().message
    assert sleeping.transition(Transition.TRANSITION_CLEANUP)


def resident_mib(process: Process) -> float:
    """Resident memory of a process [MiB]."""
    text = Path(f"/proc/{process.popen.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) / 1024.0  # type: ignore[index]


def test_cleanup_frees_the_model_and_cycles_do_not_add_up(sleeping: Remote) -> None:
    """Memory after cleanup: well below that of the loaded model, and the same after each cycle."""
    sleeping.use_model(find_model_folder())
    bench = sleeping.bench
    infos = bench.listen(DepthInfo, "cooper/depth/info", StandardTopicQoS())
    loaded, freed = [], []
    for _ in range(4):
        infos.clear()
        assert sleeping.transition(Transition.TRANSITION_CONFIGURE), sleeping.process.log
        assert sleeping.transition(Transition.TRANSITION_ACTIVATE)
        bench.show(room_image(), room_info())
        bench.wait(lambda: len(infos) > 2, sleeping.process)
        loaded.append(resident_mib(sleeping.process))
        bench.show()
        assert sleeping.transition(Transition.TRANSITION_DEACTIVATE)
        assert sleeping.transition(Transition.TRANSITION_CLEANUP)
        freed.append(resident_mib(sleeping.process))
    model_mib = sum(p.stat().st_size for p in find_model_folder().glob("*.safetensors")) / 2**20
    # The weights are float16 in the folder and float32 at work: twice their size, at the least.
    assert min(loaded) - max(freed) > model_mib, (loaded, freed)
    # The first cycle loads libraries that stay.
    assert freed[-1] - freed[1] < 0.25 * (loaded[-1] - freed[-1]), (loaded, freed)


@pytest.mark.parametrize(
    ("argument", "reason"), [("queue_size:=0", "Min: 1"), ("image_transport:=theora", "compressed")]
)
def test_a_bad_parameter_at_start_is_explained(
    ros: None, tmp_path: Path, argument: str, reason: str
) -> None:
    process = Process("cooper_ros.ros.node", "--ros-args", "-p", argument, log=tmp_path / "n.log")
    assert process.popen.wait(WAIT_S) == 2
    name = argument.split(":=")[0]
    assert name in process.log and reason in process.log and "Traceback" not in process.log
    process.stop()


WAITING = 30
"""Questions in the queue: seconds of work, however quick or slow the machine is beside the test."""


def test_ctrl_c_in_the_middle_of_work(ros: None, bench: Bench, tmp_path: Path) -> None:
    """Twice, as `ros2 launch` does it: every waiting client hears of it, the exit code is 0."""
    process = Process(
        "cooper_ros.ros.node", "--ros-args", "-r", "__node:=busy",
        *(w for name in ("queue_size", "client_queue_size") for w in ("-p", f"{name}:={WAITING}")),
        log=tmp_path / "busy.log",
    )  # fmt: skip
    remote = Remote(bench, process, "busy")
    infos = bench.listen(DepthInfo, "busy/depth/info", StandardTopicQoS())
    bench.show(room_image(), room_info())
    bench.wait(lambda: infos, process)
    calls = [
        bench.start(remote.client, AskSpatial.Request(question="how far is the chair ?"), process)
        for _ in range(3)
    ]
    reasoner = Reasoner(bench, process, name="busy")
    goals = [reasoner.start("how far is the chair ?") for _ in range(WAITING - len(calls))]
    goals[-1].wait(bool)  # it tells its place: all have been read, and wait
    process.interrupt()
    process.interrupt()
    statuses = [bench.finish(call).answer.status for call in calls]
    reasoner.processes = ()  # the process may end before the last result is read
    statuses += [goal.result()[1].answer.status for goal in goals]
    assert SpatialAnswer.STATUS_CANCELED in statuses, statuses
    bench.show()
    assert process.stop() == 0, process.log
    assert "Traceback" not in process.log
