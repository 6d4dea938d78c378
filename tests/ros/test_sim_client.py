"""Simulated camera, node and robot client, each a process of its own or a thread of the test."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Process
from sensor_msgs.msg import Image

from cooper_ros.core import geometry
from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.types import Intrinsics, Kind, ScaleSource, Status
from cooper_ros.msg import SegmentArray
from cooper_ros.ros.client import CooperClient
from cooper_ros.ros.conversion import image_to_array
from cooper_ros.ros.examiner import Examiner
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.qos import SensorDataQoS, StandardTopicQoS

SIZE = (320, 240)


@pytest.fixture(scope="module")
def camera(ros: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(
        "cooper_ros.ros.sim_camera",
        *("--ros-args", "-p", "seed:=1", "-p", "hold:=true", "-p", "rate:=5.0"),
        *("-p", f"width:={SIZE[0]}", "-p", f"height:={SIZE[1]}"),
        log=tmp_path_factory.mktemp("camera") / "camera.log",
    )
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="module")
def examiner(ros: None) -> Iterator[Examiner]:
    made = Examiner(("image", "depth", "labels", "overlay", "true_depth", "true_labels"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(ros: None, node: Process) -> Iterator[CooperClient]:
    with CooperClient() as made:
        assert made.wait_until_active()
        yield made


@pytest.fixture(scope="module")
def seen(examiner: Examiner, camera: Process, node: Process) -> Any:
    """One image with everything made of it and its truth."""

    def alive() -> None:
        camera.alive()
        node.alive()

    names = ("image", "depth", "labels", "overlay", "true_depth", "true_labels")
    found = examiner.wait_for(lambda: examiner.newest(*names), 120.0, alive)
    assert found, f"{camera.log}\n{node.log}"
    return found


def test_the_camera_publishes_picture_and_truth_of_one_moment(seen: Any) -> None:
    width, height = SIZE
    assert seen.arrays["image"].shape == (height, width, 3)
    depth, labels = seen.arrays["true_depth"], seen.arrays["true_labels"]
    assert depth.dtype == np.float32 and depth.shape == (height, width) == labels.shape
    assert 0.1 < np.nanmin(depth) and np.nanmax(depth) < 20.0
    assert labels.max() < len(CLASS_NAMES)
    for item in seen.truth["objects"]:
        u, v = round(item["u"]), round(item["v"])
        assert np.any(labels[max(v - 9, 0) : v + 10, max(u - 9, 0) : u + 10] == item["class_id"])
        assert np.hypot(*item["position"][:2]) <= item["distance"] + 0.5
        assert item["label"] == CLASS_NAMES[item["class_id"]]


def test_truth_follows_the_definitions_of_the_core(seen: Any) -> None:
    """An object alone of its class can be measured again from the truth maps."""
    labels = [item["label"] for item in seen.truth["objects"]]
    single = [item for item in seen.truth["objects"] if labels.count(item["label"]) == 1]
    assert single
    intrinsics = Intrinsics.from_fov(70.0, *SIZE)
    for item in single:
        mask = np.flatnonzero(seen.arrays["true_labels"] == item["class_id"])
        measured = geometry.object_distance(seen.arrays["true_depth"], mask, intrinsics)
        assert measured == pytest.approx(item["distance"], rel=0.05)


def test_maps_have_stamp_frame_and_size_of_the_image(
    seen: Any, bench: Any, camera: Process, node: Process
) -> None:
    """The examiner pairs by stamp: that `seen` exists says the stamps are equal."""
    width, height = SIZE
    assert seen.arrays["depth"].shape == seen.arrays["labels"].shape == (height, width)
    assert seen.arrays["overlay"].shape == (height, width, 3)
    depth = seen.arrays["depth"]
    assert depth.dtype == np.float32 and np.all(np.isfinite(depth)) and depth.min() > 0.0
    images = bench.listen(Image, "image", SensorDataQoS())
    arrays = bench.listen(SegmentArray, "cooper/segmentation/segments", StandardTopicQoS())
    message = bench.wait(lambda: arrays[-1] if arrays else None, camera, node)
    stamps = {time_to_ns(image.header.stamp) for image in images}
    newer = bench.wait(
        lambda: next((a for a in arrays if time_to_ns(a.header.stamp) in stamps), None)
        or stamps.update(time_to_ns(image.header.stamp) for image in images),
        camera,
        node,
    )
    assert newer.header.frame_id == message.header.frame_id == "camera_optical_frame"
    counts = [segment.pixel_count for segment in newer.segments]
    assert counts == sorted(counts, reverse=True) and sum(counts) <= width * height
    for segment in newer.segments:
        assert segment.box.x_offset + segment.box.width <= width
        assert segment.label in CLASS_NAMES and 0.0 <= segment.score <= 1.0
        assert segment.distance >= segment.position.z * 0.5 > 0.0


def test_distances_are_about_right(seen: Any) -> None:
    """The trained model on an unseen world: far better than a guess. Accuracy has its own tests."""
    true, made = seen.arrays["true_depth"], seen.arrays["depth"]
    error = np.median(np.abs(made - true) / true)
    assert error < 0.45, f"median relative depth error {error:.2f}"


def test_the_client_gets_typed_answers(seen: Any, client: CooperClient) -> None:
    labels = [item["label"] for item in seen.truth["objects"]]
    name = max(
        (item for item in seen.truth["objects"] if labels.count(item["label"]) == 1),
        key=lambda item: item["fraction"],
    )["label"]
    answer = client.distance(name, return_trace=True)
    assert answer.kind is Kind.DISTANCE and answer.unit == "m"
    assert answer.question == f"how far is the {name} ?"
    silent = (Status.NOT_VISIBLE, Status.AMBIGUOUS, Status.UNPARSED, Status.DISAGREES)
    assert answer.status in (Status.OK, *silent)
    assert answer.scale_source is ScaleSource.MODEL_PRIOR
    assert answer.frame_id == "camera_optical_frame" and answer.stamp_ns > 0
    assert answer.trace and "@" in answer.model_id
    if answer.status is Status.OK:
        assert answer.value > 0.0 and answer.objects
    count = client.count("chairs")
    assert count.kind is Kind.COUNT and count.status is Status.OK
    assert count.value == int(count.value) and count.measured >= 0.0


def test_the_client_measures_without_the_language_model(seen: Any, client: CooperClient) -> None:
    width, height = SIZE
    there = client.distance_at(width / 2, height / 2)
    assert there.status is Status.OK and there.distance_m > 0.0
    assert there.distance_m == pytest.approx(np.linalg.norm(there.position))
    unknown = client.measured_distance("zeppelin")
    assert unknown.status is Status.BAD_QUESTION and "mug" in unknown.message
    assert np.isnan(unknown.distance_m)


def test_every_finished_question_is_published(
    bench: Any, client: CooperClient, camera: Process
) -> None:
    from cooper_ros.msg import SpatialAnswer

    answers = bench.listen(SpatialAnswer, "cooper/answer", StandardTopicQoS())
    bench.wait(lambda: bench.node.count_publishers("/cooper/answer"), camera)
    asked = client.ask("is there a table ?")

    def heard() -> Any:
        # The first question may be asked before the new reader is known to the node.
        found = [a for a in answers if a.question == "is there a table ?"]
        return found or (client.ask("is there a table ?") and None)

    message = bench.wait(heard, camera)[0]
    assert message.status == int(asked.status) and message.text == asked.text


def test_questions_about_a_view_that_stays_have_one_answer(client: CooperClient) -> None:
    answers = {client.ask("how much free space is ahead ?").text for _ in range(3)}
    assert len(answers) == 1


def test_a_client_without_a_node_says_what_is_missing(ros: None) -> None:
    with CooperClient("nobody", name="lonely") as lonely:
        assert not lonely.wait_until_active(timeout_s=0.5)
        answer = lonely.distance("mug", timeout_s=0.5)
        assert answer.status is Status.TIMEOUT and "nobody" in answer.message
        assert lonely.measured_distance("mug", timeout_s=0.5).status is Status.TIMEOUT


def test_the_example_runs(
    client: CooperClient, camera: Process, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(root / "examples" / "robot_distance.py"))
    assert capsys.readouterr().out.strip()


def test_a_moving_camera_moves(ros: None, bench: Any, tmp_path: Path) -> None:
    process = Process(
        "cooper_ros.ros.sim_camera",
        *("--ros-args", "-r", "__ns:=/moving", "-p", "seed:=2", "-p", "rate:=5.0"),
        *("-p", "width:=160", "-p", "height:=120"),
        log=tmp_path / "moving.log",
    )
    try:
        depths = bench.listen(Image, "/moving/sim_camera/truth/depth", SensorDataQoS())
        bench.wait(lambda: len(depths) >= 2, process)
        assert not np.array_equal(image_to_array(depths[0]), image_to_array(depths[-1]))
    finally:
        assert process.stop() == 0, process.log
