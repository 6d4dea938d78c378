"""The cameras of a node: one without a name, or several by name that share one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sensor_msgs.msg import CameraInfo

from cooper_ros.ros.inputs import CameraInput
from cooper_ros.ros.slots import Snapshot


class CameraSet(Mapping[str, CameraInput]):
    """The subscriptions of all cameras, by name in the order of the parameter.

    `on_frame(snapshot)` and `on_calibration(camera)` are called in the executor's thread.
    """

    def __init__(
        self,
        node: Any,
        names: tuple[str, ...],
        transport: str,
        on_frame: Callable[[Snapshot], None],
        on_calibration: Callable[[str], None],
        rectified: str = "auto",
    ) -> None:
        self._inputs = {
            name: CameraInput(node, transport, on_frame, on_calibration, name, rectified)
            for name in names
        }
        self.any_frame = False
        """Whether a camera_info is taken for images of other frames too."""

    def __getitem__(self, name: str) -> CameraInput:
        return self._inputs[name]

    def __iter__(self) -> Any:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def topics(self) -> list[str]:
        """Full names of everything that is read."""
        return [topic for item in self.values() for topic in item.topics]

    def find_info(self, camera: str, frame_id: str) -> tuple[CameraInfo | None, str]:
        """The newest calibration for a frame of a camera, or why there is none."""
        item = self._inputs[camera]
        info = item.info_for(frame_id, self.any_frame)
        return info, "" if info else item.info_problem(frame_id)

    def close(self) -> None:
        """Stop listening."""
        for item in self.values():
            item.close()
