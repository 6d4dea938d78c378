"""The parameters of the node `cooper`: one table that declares, checks and documents them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cooper_ros.core.scale_state import calibration_problem
from cooper_ros.ros.camera_names import problem_with_cameras
from cooper_ros.ros.naming_parameters import NAMING
from cooper_ros.ros.parameter_specs import (
    ACTIVATE,
    CONFIGURE,
    START,
    ParameterSpec,
    problem_with,
    to_descriptor,
)

PARAMETERS_BEGIN = "<!-- parameters:begin -->"
PARAMETERS_END = "<!-- parameters:end -->"

PARAMETERS: tuple[ParameterSpec, ...] = (
    ParameterSpec(
        "model",
        "cooper-nano",
        "Model folder: a path, or the name of a folder in the share directory's `engines`; `none`: "
        "no model, but depth and names of others, and answers by measurement.",
        CONFIGURE,
    ),
    ParameterSpec(
        "backend",
        "auto",
        "Inference engine: `auto`, `cpu` or `cuda` (ONNX Runtime), or the name of an installed "
        "backend.",
        CONFIGURE,
    ),
    ParameterSpec(
        "threads",
        0,
        "CPU threads of the inference engine; 0 = the engine's choice for this machine.",
        CONFIGURE,
        0,
        256,
    ),
    ParameterSpec(
        "self_test",
        True,
        "Compare the model with the golden outputs in its folder before it is used.",
        CONFIGURE,
    ),
    ParameterSpec(
        "seed",
        0,
        "Seed of the noise of models that draw their maps from noise; the same image, question and "
        "seed give the same answer.",
        CONFIGURE,
        0,
        65535,
    ),
    ParameterSpec(
        "autostart", True, "Configure and activate by itself; false = wait for transitions.", START
    ),
    ParameterSpec(
        "image_transport",
        "raw",
        "`raw` reads `image`, `compressed` reads `image/compressed` (JPEG or PNG).",
        ACTIVATE,
        choices=("raw", "compressed"),
    ),
    ParameterSpec(
        "rectified",
        "auto",
        "Whether the images have no lens distortion any more, so that P of camera_info describes "
        "them, not K and D: `true`, `false`, or `auto`: by a topic name with `image_rect`.",
        ACTIVATE,
        choices=("auto", "true", "false"),
    ),
    ParameterSpec(
        "max_pixels",
        16_000_000,
        "Largest image of which maps of its own size are published [px]; those of larger ones are "
        "smaller. Boxes are in the camera's pixels all the same.",
        minimum=10_000,
        maximum=256_000_000,
    ),
    ParameterSpec(
        "camera_info_any_frame",
        False,
        "Take the camera_info of the topic although it names another frame than the image.",
    ),
    ParameterSpec(
        "min_score",
        -1.0,
        "Objects with a lower score are hidden from segments, overlay, markers and questions; -1 = "
        "what the model's manifest says for each class.",
        minimum=-1.0,
        maximum=1.0,
    ),
    ParameterSpec(
        "max_rate_hz",
        0.0,
        "Most frames perceived per second [Hz]; 0 = as many as the machine can.",
        minimum=0.0,
        maximum=1000.0,
    ),
    ParameterSpec(
        "lazy",
        True,
        "Perceive only while a map topic has a reader or a question waits.",
    ),
    ParameterSpec(
        "mode",
        "auto",
        "How MODE_AUTO reasons: `interleaved` thinks and asks for maps, `maps` has them from the "
        "start, `direct` takes the image alone; `auto` is `maps` where the model can, which spares "
        "it from asking, else `interleaved`.",
        choices=("auto", "interleaved", "maps", "direct"),
    ),
    ParameterSpec(
        "answer_timeout_s",
        10.0,
        "Longest wait for an answer [s] when the request names none.",
        minimum=0.01,
        maximum=3600.0,
    ),
    ParameterSpec(
        "max_image_age_s",
        2.0,
        "A question is refused as stale when the newest image arrived longer ago [s]; 0 = never.",
        minimum=0.0,
        maximum=3600.0,
    ),
    ParameterSpec(
        "queue_size",
        8,
        "Questions that may wait; one more is refused as busy, or takes the place of one of a "
        "client that has more waiting.",
        minimum=1,
        maximum=256,
    ),
    ParameterSpec(
        "client_queue_size",
        8,
        "Questions of one client (field `client` of a request) that may wait.",
        minimum=1,
        maximum=256,
    ),
    ParameterSpec(
        "client_rate_hz",
        50.0,
        "Most requests per second [Hz] of one client, after a burst of one second's worth; 0 = no "
        "limit.",
        minimum=0.0,
        maximum=10000.0,
    ),
    ParameterSpec(
        "kept_frames",
        4,
        "Images that were asked about and are kept for more questions (field `image_stamp`).",
        minimum=0,
        maximum=64,
    ),
    ParameterSpec(
        "max_question_length",
        200,
        "Longest question accepted [characters].",
        minimum=1,
        maximum=10000,
    ),
    ParameterSpec(
        "no_image_warning_s",
        5.0,
        "Warn, with topic and publishers, when no image came for this long [s]; 0 = never.",
        minimum=0.0,
        maximum=3600.0,
    ),
    # Several cameras.
    ParameterSpec(
        "cameras",
        "",
        "Names of several cameras that share the model, as in `front, rear`: the node then reads "
        "`<name>/image` and `<name>/camera_info` and writes below `~/<name>`; empty = one camera.",
        CONFIGURE,
        check=problem_with_cameras,
    ),
    # What is drawn.
    ParameterSpec(
        "points_stride",
        2,
        "`~/points` holds every n-th row and column of the depth image.",
        minimum=1,
        maximum=64,
    ),
    # Metric scale, see docs/metric-scale.md.
    ParameterSpec(
        "range_max_age_s",
        0.15,
        "Range points or external depth farther from the image in time [s] are not used.",
        minimum=0.0,
        maximum=60.0,
    ),
    ParameterSpec(
        "range_sigma",
        0.02,
        "Error of a range point or of external depth, one standard deviation as share of the "
        "distance.",
        minimum=0.0001,
        maximum=1.0,
    ),
    ParameterSpec(
        "camera_height_m",
        0.0,
        "Height of the camera above the floor [m], for metric scale and heights; 0 = unknown.",
        minimum=0.0,
        maximum=100.0,
    ),
    ParameterSpec(
        "camera_pitch_deg",
        0.0,
        "How far the camera looks down [deg], used with camera_height_m.",
        minimum=-90.0,
        maximum=90.0,
    ),
    ParameterSpec(
        "camera_roll_deg",
        0.0,
        "How far the camera is turned clockwise about its viewing direction [deg], used with "
        "camera_height_m.",
        minimum=-180.0,
        maximum=180.0,
    ),
    ParameterSpec(
        "ground_frame",
        "",
        "TF frame whose z = 0 plane is the floor (base_footprint), instead of height, pitch and "
        "roll; empty = not used.",
    ),
    ParameterSpec(
        "depth_source",
        "model",
        "`model`, or `external`: depth of `external_depth` stands in for the model's, which fills "
        "its holes.",
        choices=("model", "external"),
    ),
    ParameterSpec(
        "depth_completion",
        True,
        "Spread what each range point says of its place over the picture, instead of one scale for "
        "all pixels. false = the fit alone.",
    ),
    *NAMING,
    ParameterSpec(
        "scale_memory_s",
        2.0,
        "How long a scale fitted to anchors is used when none arrive [s]; 0 = not at all.",
        minimum=0.0,
        maximum=3600.0,
    ),
    ParameterSpec(
        "scale_calibration",
        "",
        "Calibrated scale, as `~/calibrate_scale` returns it; empty = none.",
        check=calibration_problem,
    ),
    ParameterSpec(
        "use_tf",
        True,
        "Listen to TF, where tf2 is installed: for range points in other frames, ground_frame and "
        "target_frame.",
        ACTIVATE,
    ),
    ParameterSpec(
        "max_memory_mib",
        0,
        "A model that leaves the process with more resident memory [MiB] is not used; "
        "`/diagnostics` warns when it is exceeded later. 0 = no limit.",
        CONFIGURE,
        0,
        1048576,
    ),
    # Video.
    ParameterSpec(
        "keyframe_every",
        1,
        "Maps are made of at least every n-th frame; in the frames between, objects are followed. "
        "1 = maps of every frame.",
        minimum=1,
        maximum=1000,
    ),
    ParameterSpec(
        "keyframe_change",
        0.1,
        "With `keyframe_every` above 1: a frame also gets maps when this share of the picture "
        "changed since the last maps; below it, questions are answered on those. 0 = never.",
        minimum=0.0,
        maximum=1.0,
    ),
)

BY_NAME: dict[str, ParameterSpec] = {spec.name: spec for spec in PARAMETERS}


def declare(node: Any, table: tuple[ParameterSpec, ...] = PARAMETERS) -> None:
    """Declare a whole table on a node, and refuse bad changes with a reason."""
    from rcl_interfaces.msg import SetParametersResult

    by_name = {spec.name: spec for spec in table}

    def check(changes: Iterable[Any]) -> Any:
        for change in changes:
            if not change.name:  # rclpy would take it
                return SetParametersResult(successful=False, reason="the parameter has no name")
            spec = by_name.get(change.name)
            problem = problem_with(spec, change.value) if spec else ""
            if problem:
                return SetParametersResult(successful=False, reason=problem)
        return SetParametersResult(successful=True)

    # Before declaring: then values from the command line and from files are checked too.
    node.add_on_set_parameters_callback(check)
    for spec in table:
        node.declare_parameter(spec.name, spec.default, to_descriptor(spec))


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def render_markdown() -> str:
    """The table of docs/reference.md between its two markers, markers included."""
    lines = [
        PARAMETERS_BEGIN,
        "| parameter | type | default | allowed | takes effect | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for spec in PARAMETERS:
        lines.append(
            f"| `{spec.name}` | {spec.type_name} | `{_show(spec.default)}` | {spec.allowed} | "
            f"{spec.effect} | {spec.description} |"
        )
    lines.append(PARAMETERS_END)
    return "\n".join(lines) + "\n"


def render_yaml() -> str:
    """A parameter file with every default and its meaning as a comment (config/cooper.yaml)."""
    lines = [
        "# Parameters of the node `cooper`, with their defaults.",
        "# Made from cooper_ros/ros/parameters.py; a test holds the two together.",
        "/**:",
        "  ros__parameters:",
    ]
    for spec in PARAMETERS:
        allowed = f" ({spec.allowed})" if spec.allowed else ""
        value = f'"{spec.default}"' if isinstance(spec.default, str) else _show(spec.default)
        lines.append(f"    # {spec.description}{allowed}")
        lines.append(f"    {spec.name}: {value}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render_markdown(), end="")
