"""The topics, services and actions of the node `cooper`, in one table that documents them.

Tests compare it with a running node, so that no row is missing and none is made up. Write the
tables of docs/reference.md anew with `python -m cooper_ros.ros.interfaces`.
"""

from __future__ import annotations

from dataclasses import dataclass

INTERFACES_BEGIN = "<!-- interfaces:begin -->"
INTERFACES_END = "<!-- interfaces:end -->"

READS, PUBLISHES, SERVICE, ACTION = "reads", "publishes", "service", "action"

SENSOR = "best effort, 1"
IMAGE = "reliable, 2"
RESULT = "reliable, 10"
LATCHED = "latched"


@dataclass(frozen=True)
class InterfaceSpec:
    """One name of the node's graph.

    `name` as the node gives it (`~` = the node's own name), `type` as `ros2 topic info` shows it,
    `qos` reliability and depth ("" for services and actions). `condition`: when it is there, "" =
    whenever the node is active.
    """

    kind: str
    name: str
    type: str
    meaning: str
    qos: str = ""
    condition: str = ""


INTERFACES: tuple[InterfaceSpec, ...] = (
    InterfaceSpec(
        READS, "image", "sensor_msgs/msg/Image", "The camera's picture: remap it.", SENSOR,
        "`image_transport` is `raw`",
    ),
    InterfaceSpec(
        READS, "image/compressed", "sensor_msgs/msg/CompressedImage",
        "The same as JPEG or PNG; follows the remap of `image`.", SENSOR,
        "`image_transport` is `compressed`",
    ),
    InterfaceSpec(
        READS, "camera_info", "sensor_msgs/msg/CameraInfo",
        "Calibration of the picture; without it there are no metres.", SENSOR,
    ),
    InterfaceSpec(
        READS, "range_points", "sensor_msgs/msg/PointCloud2",
        "Metric anchors: a lidar's points, or a registered depth image (`sensor_msgs/Image`).",
        SENSOR, "somebody publishes it",
    ),
    InterfaceSpec(
        READS, "external_depth", "sensor_msgs/msg/Image",
        "Registered depth that stands in for the model's, 32FC1 [m] or 16UC1 [mm].",
        SENSOR, "`depth_source` is `external`",
    ),
    InterfaceSpec(
        READS, "detections", "vision_msgs/msg/Detection2DArray",
        "Boxes with names of a detector, stamped as their image.",
        "best effort, 16", "`segmentation_source` is not `model` and somebody publishes it",
    ),
    InterfaceSpec(
        READS, "labels", "sensor_msgs/msg/Image",
        "Class of each pixel by others, mono8 or mono16, stamped as its image.",
        "best effort, 16", "`segmentation_source` is not `model` and somebody publishes it",
    ),
    InterfaceSpec(
        READS, "label_info", "cooper_ros/msg/LabelInfo",
        "Names of the values of `labels`, and of detections with numbers (also `vision_msgs`).",
        LATCHED, "`segmentation_source` is not `model` and somebody publishes it",
    ),
    InterfaceSpec(
        READS, "instances", "sensor_msgs/msg/Image",
        "Mask of each object, mono16, 0 = none; of `labels`, or of detections by their `id`.",
        "best effort, 16", "`segmentation_source` is not `model` and somebody publishes it",
    ),
    InterfaceSpec(
        PUBLISHES, "~/depth/image", "sensor_msgs/msg/Image",
        "Depth along the optical axis, 32FC1 [m], NaN unknown; only while metric.", IMAGE,
    ),
    InterfaceSpec(
        PUBLISHES, "~/depth/camera_info", "sensor_msgs/msg/CameraInfo",
        "Calibration of the depth image.", IMAGE,
    ),
    InterfaceSpec(
        PUBLISHES, "~/depth/relative", "sensor_msgs/msg/Image",
        "Depth as the model draws it, 32FC1 in [0, 1], 0 is near.", IMAGE,
    ),
    InterfaceSpec(
        PUBLISHES, "~/depth/confidence", "sensor_msgs/msg/Image",
        "Confidence of the depth, 32FC1 in [0, 1]; if the model gives one.", IMAGE,
    ),
    InterfaceSpec(
        PUBLISHES, "~/depth/info", "cooper_ros/msg/DepthInfo",
        "Where the metres come from and how far to trust them.", RESULT,
    ),
    InterfaceSpec(
        PUBLISHES, "~/segmentation/labels", "sensor_msgs/msg/Image",
        "Class of each pixel, mono8; names in `label_info`.", IMAGE,
    ),
    InterfaceSpec(
        PUBLISHES, "~/segmentation/label_info", "cooper_ros/msg/LabelInfo",
        "Names and colours of the classes.", LATCHED,
    ),
    InterfaceSpec(
        PUBLISHES, "~/segmentation/segments", "cooper_ros/msg/SegmentArray",
        "The objects with box, distance [m] and position [m].", RESULT,
    ),
    InterfaceSpec(
        PUBLISHES, "~/overlay", "sensor_msgs/msg/Image",
        "The picture with the classes drawn over it, rgb8.", IMAGE,
    ),
    InterfaceSpec(
        PUBLISHES, "~/points", "sensor_msgs/msg/PointCloud2",
        "Coloured points with class and instance, in the optical frame; only while metric.", IMAGE,
    ),
    InterfaceSpec(
        PUBLISHES, "~/markers", "visualization_msgs/msg/MarkerArray",
        "Boxes and names of the objects, and the newest answer, for RViz and Foxglove.", RESULT,
        "visualization_msgs is installed",
    ),
    InterfaceSpec(
        PUBLISHES, "~/answer", "cooper_ros/msg/SpatialAnswer",
        "Every finished question, whoever asked it.", RESULT,
    ),
    InterfaceSpec(
        PUBLISHES, "~/answer/followed", "cooper_ros/msg/SpatialAnswer",
        "The same answers in later frames, measured where their objects are then.", RESULT,
        "`keyframe_every` is above 1",
    ),
    InterfaceSpec(
        PUBLISHES, "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray",
        "State once a second: what is wrong, rates, drops, queue, memory, backend, scale source.",
        RESULT, "diagnostic_msgs is installed",
    ),
    InterfaceSpec(
        SERVICE, "~/ask", "cooper_ros/srv/AskSpatial", "A question in words about the newest image."
    ),
    InterfaceSpec(
        SERVICE, "~/query_distance", "cooper_ros/srv/QueryDistance",
        "Metres to names, pixels or boxes, measured on the maps; no language model.",
    ),
    InterfaceSpec(
        SERVICE, "~/model_info", "cooper_ros/srv/GetModelInfo",
        "What the node runs: classes, words, range, licence, provenance; cameras.",
    ),
    InterfaceSpec(
        SERVICE, "~/calibrate_scale", "cooper_ros/srv/CalibrateScale",
        "Teach the scale of depth from known distances, or from the anchors just seen.",
    ),
    InterfaceSpec(
        SERVICE, "~/enable", "std_srvs/srv/SetBool", "Pause and resume perception and answers."
    ),
    InterfaceSpec(
        ACTION, "~/reason", "cooper_ros/action/Reason",
        "A question answered step by step: text and maps as they come, a quick answer first.",
    ),
)  # fmt: skip


def render_markdown() -> str:
    """The tables of docs/reference.md between their two markers, markers included."""
    lines = [INTERFACES_BEGIN, "| topic | | type | QoS | meaning |", "|---|---|---|---|---|"]
    calls = ["", "| service, action | type | meaning |", "|---|---|---|"]
    for spec in INTERFACES:
        meaning = spec.meaning + (f" Only when {spec.condition}." if spec.condition else "")
        kind = spec.type.replace("/msg/", "/").replace("/srv/", "/").replace("/action/", "/")
        if spec.kind in (SERVICE, ACTION):
            calls.append(f"| `{spec.name}` | {kind} ({spec.kind}) | {meaning} |")
        else:
            lines.append(f"| `{spec.name}` | {spec.kind} | {kind} | {spec.qos} | {meaning} |")
    return "\n".join([*lines, *calls, INTERFACES_END]) + "\n"


if __name__ == "__main__":
    print(render_markdown(), end="")
