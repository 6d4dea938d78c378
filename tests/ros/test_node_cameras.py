"""One node, two cameras, one model: topics, questions and problems of each stay apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point
from harness import Bench, Process, room_image, room_info
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from cooper_ros.core.errors import QuestionError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.msg import DepthInfo, SegmentArray, SpatialAnswer
from cooper_ros.ros.camera_names import camera_names, choose_camera, problem_with_cameras
from cooper_ros.ros.messages import to_header
from cooper_ros.ros.qos import ImagePublisherQoS, SensorDataQoS, StandardTopicQoS
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.srv import AskSpatial, GetModelInfo, QueryDistance

CAMERAS = ("front", "rear")


class Rig:
    """Two cameras that show the same room, each in its own optical frame."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._publishers = {
            name: (
                bench.node.create_publisher(Image, f"{name}/image", ImagePublisherQoS()),
                bench.node.create_publisher(CameraInfo, f"{name}/camera_info", ImagePublisherQoS()),
            )
            for name in CAMERAS
        }
        self.shown: dict[str, Image] = {}
        bench.node.create_timer(0.1, self._publish)

    def _publish(self) -> None:
        stamp_ns = self._bench.node.get_clock().now().nanoseconds
        for name, image in list(self.shown.items()):
            images, infos = self._publishers[name]
            info = room_info()
            info.header = image.header = to_header(stamp_ns, f"{name}_optical_frame")
            infos.publish(info)
            images.publish(image)


@pytest.fixture(scope="module")
def node(ros: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(
        "cooper_ros.ros.node",
        *("--ros-args", "-p", "cameras:=front, rear"),
        log=tmp_path_factory.mktemp("cameras") / "node.log",
    )
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="module")
def rig(bench: Bench) -> Rig:
    return Rig(bench)


@pytest.fixture(scope="module")
def infos(bench: Bench) -> dict[str, list[DepthInfo]]:
    return {
        name: bench.listen(DepthInfo, f"cooper/{name}/depth/info", StandardTopicQoS())
        for name in CAMERAS
    }


@pytest.fixture(scope="module")
def reports(bench: Bench) -> list[DiagnosticArray]:
    return bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())


def set_parameter(bench: Bench, node: Process, name: str, value: int | float) -> None:
    content = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)
    if isinstance(value, float):
        content = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
    client = bench.node.create_client(SetParameters, "cooper/set_parameters")
    request = SetParameters.Request(parameters=[Parameter(name=name, value=content)])
    assert bench.call(client, request, node).results[0].successful


def statuses(reports: list[DiagnosticArray]) -> dict[str, Any]:
    return {status.name: status for status in reports[-1].status} if reports else {}


def test_each_camera_gets_its_own_maps(
    bench: Bench, node: Process, rig: Rig, infos: dict[str, list[DepthInfo]]
) -> None:
    rig.shown = {"front": room_image()}
    bench.wait(lambda: infos["front"], node)
    assert not infos["rear"], "a camera that is silent has no maps"
    rig.shown["rear"] = room_image()
    bench.wait(lambda: infos["rear"], node)
    for name in CAMERAS:
        assert infos[name][-1].header.frame_id == f"{name}_optical_frame"
    seen = len(infos["front"]), len(infos["rear"])
    bench.wait(lambda: len(infos["front"]) > seen[0] + 2 and len(infos["rear"]) > seen[1] + 2, node)


def test_a_question_says_which_camera_it_means(bench: Bench, node: Process, rig: Rig) -> None:
    rig.shown = {name: room_image() for name in CAMERAS}
    ask = bench.node.create_client(AskSpatial, "cooper/ask")
    answers = bench.listen(SpatialAnswer, "cooper/answer", StandardTopicQoS())
    for asked, expected in (("rear", "rear"), ("front", "front"), ("", "front")):
        request = AskSpatial.Request(question="is there a chair ?", camera=asked, return_trace=True)

        def answered(request: AskSpatial.Request = request) -> Any:
            reply = bench.call(ask, request, node)
            late = (SpatialAnswer.STATUS_NO_IMAGE, SpatialAnswer.STATUS_STALE,
                    SpatialAnswer.STATUS_TIMEOUT)  # fmt: skip
            return reply if reply.answer.status not in late else None

        answer = bench.wait(answered, node).answer
        assert answer.camera == expected
        assert answer.header.frame_id == f"{expected}_optical_frame"
        topics = {step.topic for step in answer.trace if step.topic}
        assert all(topic.startswith(f"/cooper/{expected}/") for topic in topics)
    bench.wait(lambda: answers and answers[-1].camera == "front", node)
    assert {answer.camera for answer in answers} >= {"front", "rear"}
    wrong = bench.call(ask, AskSpatial.Request(question="is there a chair ?", camera="left"), node)
    assert wrong.answer.status == SpatialAnswer.STATUS_BAD_QUESTION
    assert "'left'" in wrong.message and "front, rear" in wrong.message


def test_pixels_are_those_of_the_camera_asked(bench: Bench, node: Process, rig: Rig) -> None:
    rig.shown = {name: room_image() for name in CAMERAS}
    query = bench.node.create_client(QueryDistance, "cooper/query_distance")
    request = QueryDistance.Request(pixels=[Point(x=160.0, y=200.0)], camera="rear")
    reply = bench.call(query, request, node)
    assert reply.header.frame_id == "rear_optical_frame"
    wrong = bench.call(query, QueryDistance.Request(names=["mug"], camera="left"), node)
    assert wrong.status == SpatialAnswer.STATUS_BAD_QUESTION and "'left'" in wrong.message


def test_a_bad_image_of_one_camera_leaves_the_other_alone(
    bench: Bench, node: Process, rig: Rig, infos: dict[str, list[DepthInfo]], reports: list
) -> None:
    broken = room_image()
    broken.step = 1
    rig.shown = {"front": room_image(), "rear": broken}

    def rear_complains() -> bool:
        found = statuses(reports).get("cooper: camera rear")
        return found is not None and "step is 1" in found.message

    bench.wait(rear_complains, node)
    front = statuses(reports)["cooper: camera front"]
    assert front.level == b"\x00", front.message
    whole = statuses(reports)["cooper: perception"]
    assert whole.level == b"\x02" and "rear: " in whole.message
    seen = len(infos["front"])
    bench.wait(lambda: len(infos["front"]) > seen + 2, node)
    values = {pair.key: pair.value for pair in front.values}
    assert float(values["image rate [Hz]"]) > 0.0
    assert 0.0 < float(values["latency, image to maps [s]"]) < 60.0
    assert values["scale source"] == "MODEL_PRIOR"


def test_silence_of_one_camera_is_named(
    bench: Bench, node: Process, rig: Rig, reports: list
) -> None:
    rig.shown = {"front": room_image()}
    set_parameter(bench, node, "no_image_warning_s", 1.0)

    def rear_is_silent() -> bool:
        found = statuses(reports).get("cooper: camera rear")
        return found is not None and "no image on /rear/image" in found.message

    bench.wait(rear_is_silent, node)
    assert "no image" not in statuses(reports)["cooper: camera front"].message


def test_between_keyframes_objects_are_followed(bench: Bench, node: Process, rig: Rig) -> None:
    """The same view all the time: one keyframe, then frames that only follow."""
    rig.shown = {"front": room_image()}
    segments = bench.listen(SegmentArray, "cooper/front/segmentation/segments",
                            StandardTopicQoS())  # fmt: skip
    infos = bench.listen(DepthInfo, "cooper/front/depth/info", StandardTopicQoS())
    bench.wait(lambda: segments and not segments[-1].tracked, node)
    set_parameter(bench, node, "keyframe_every", 1000)
    bench.wait(lambda: len([m for m in segments if m.tracked]) > 8, node)
    followed = [m for m in segments if m.tracked]
    assert len({m.map_stamp.sec * 10**9 + m.map_stamp.nanosec for m in followed}) == 1
    assert all(m.header.stamp != m.map_stamp for m in followed)
    made = len(infos)
    bench.wait(lambda: len([m for m in segments if m.tracked]) > 16, node)
    assert len(infos) == made, "no maps are made of frames that only follow"
    set_parameter(bench, node, "keyframe_every", 1)
    bench.wait(lambda: len(infos) > made + 2, node)


def test_only_the_camera_that_is_read_is_perceived(
    bench: Bench, node: Process, rig: Rig, reports: list
) -> None:
    """Another node, whose front camera alone has a reader: the rear one costs nothing."""
    process = Process(
        "cooper_ros.ros.node",
        *("--ros-args", "-p", "cameras:=front,rear", "-r", "__node:=lazy"),
        log=node.log_file.with_name("lazy.log"),
    )
    try:
        rig.shown = {name: room_image() for name in CAMERAS}
        segments = bench.listen(SegmentArray, "lazy/front/segmentation/segments",
                                StandardTopicQoS())  # fmt: skip
        bench.wait(lambda: len(segments) > 3, process)

        def rates() -> tuple[float, float] | None:
            found = statuses([m for m in reports if m.status[0].name == "lazy: perception"])
            if "lazy: camera rear" not in found:
                return None
            front, rear = (
                {pair.key: pair.value for pair in found[f"lazy: camera {name}"].values}
                for name in CAMERAS
            )
            if float(front["perception rate [Hz]"]) == 0.0:
                return None
            return float(rear["perception rate [Hz]"]), float(rear["image rate [Hz]"])

        perceived, received = bench.wait(rates, process)
        assert perceived == 0.0 and received > 0.0
    finally:
        assert process.stop() == 0


def test_what_is_drawn_belongs_to_the_camera(bench: Bench, node: Process, rig: Rig) -> None:
    rig.shown = {name: room_image() for name in CAMERAS}
    clouds = bench.listen(PointCloud2, "cooper/rear/points", SensorDataQoS())
    markers = bench.listen(MarkerArray, "cooper/rear/markers", StandardTopicQoS())
    bench.wait(lambda: clouds and markers, node)
    cloud = clouds[-1]
    assert cloud.header.frame_id == "rear_optical_frame"
    assert (cloud.width, cloud.height) == (160, 120), "every second row and column"
    assert {marker.header.frame_id for marker in markers[-1].markers} == {"rear_optical_frame"}
    set_parameter(bench, node, "points_stride", 5)
    bench.wait(lambda: clouds[-1].width == 64, node)


def test_the_node_says_what_it_runs(bench: Bench, node: Process) -> None:
    client = bench.node.create_client(GetModelInfo, "cooper/model_info")
    found = bench.call(client, GetModelInfo.Request(), node)
    assert found.success and list(found.cameras) == list(CAMERAS)
    folder = ModelFolder.open(find_model_folder())
    assert found.name == folder.name and found.model_id.startswith(found.name)
    assert found.parameter_count == folder.manifest["weights"]["parameters"]
    assert json.loads(found.provenance) == folder.provenance
    assert "mug" in found.names and "mug" in found.words
    assert not found.countable[found.names.index("floor")]
    assert found.countable[found.names.index("mug")]
    assert 0.0 < found.min_range < found.max_range and found.metric
    assert found.self_test.startswith("passed") and "onnxruntime" in found.backend
    assert (found.map_width, found.map_height) == folder.spec.map_resize.size(640, 480)


@pytest.mark.parametrize(
    ("text", "names"),
    [("", ("",)), (" ", ("",)), (",", ("",)), ("front", ("front",)),
     ("front,rear", ("front", "rear")), (" front , rear ", ("front", "rear"))],
)  # fmt: skip
def test_names_are_read(text: str, names: tuple[str, ...]) -> None:
    assert camera_names(text) == names
    assert problem_with_cameras(text) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [("front,", "''"), ("front/left", "'front/left'"), ("2nd", "'2nd'"), ("a,b,a", "once"),
     ("depth", "topic of the node"), (",".join(f"c{i}" for i in range(9)), "at most 8")],
)  # fmt: skip
def test_bad_names_are_refused_with_a_reason(text: str, reason: str) -> None:
    assert reason in problem_with_cameras(text)


def test_a_single_camera_has_no_name() -> None:
    assert choose_camera("", ("",)) == ""
    with pytest.raises(QuestionError, match="leave the field `camera` empty"):
        choose_camera("front", ("",))
