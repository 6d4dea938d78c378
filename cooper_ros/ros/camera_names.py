"""Names of several cameras: reading the parameter, and which one a request means."""

from __future__ import annotations

import re

from cooper_ros.core.errors import QuestionError

ONLY = ""
"""Name of the camera of a node that has only one."""

MAX_CAMERAS = 8
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
TAKEN = ("answer", "ask", "depth", "enable", "markers", "model_info", "overlay", "points", "reason",
         "segmentation")  # fmt: skip
"""Names below the node's own that a camera must not shadow."""


def camera_names(text: str) -> tuple[str, ...]:
    """Names in the parameter `cameras` ("front, rear"); `("",)` when it is empty."""
    names = tuple(name.strip() for name in text.split(","))
    return names if any(names) else (ONLY,)


def problem_with_cameras(text: str) -> str:
    """Why a value of the parameter `cameras` cannot be taken, for people; "" if it can."""
    names = camera_names(text)
    if names == (ONLY,):
        return ""
    for name in names:
        if not NAME.fullmatch(name):
            return (
                f"cameras: {name[:40]!r} is no name for a camera; use letters, digits and "
                "underscores, and commas between the names"
            )
        if name in TAKEN:
            return f"cameras: {name!r} is a topic of the node itself, choose another name"
    if len(set(names)) != len(names):
        return f"cameras: every name may be given once, got {', '.join(names)}"
    if len(names) > MAX_CAMERAS:
        return f"cameras: {len(names)} names, at most {MAX_CAMERAS} cameras share a model"
    return ""


def choose_camera(asked: str, names: tuple[str, ...]) -> str:
    """The camera that a request means; raises QuestionError for a name that there is not."""
    if not asked:
        return names[0]
    if asked not in names:
        known = "this node has one camera, without a name: leave the field `camera` empty"
        if names != (ONLY,):
            known = f"the cameras are: {', '.join(names)}"
        raise QuestionError(f"there is no camera {asked[:40]!r}; {known}")
    return asked
