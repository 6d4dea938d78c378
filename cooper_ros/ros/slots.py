"""The newest frame of every camera, and which of them is looked at next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from cooper_ros.ros.conversion import read_message
from cooper_ros.ros.encodings import Rgb


@dataclass(eq=False)
class Snapshot:
    """An image as it came in; `received` is time.monotonic() [s].

    `message` is there until the image is read, `picture` and `header` from then on.

    `from_camera` is False for an image that came with a question: its maps are not published.
    `camera` is the name of the camera, "" where the node has only one; `stamp_ns` the acquisition
    time, 0 for an image that nobody can ask about again. `rectified`: see `camera_infos`; `names`:
    what others named in it (`name_inputs.Partners`).
    """

    message: Any
    camera_info: Any = None
    from_camera: bool = True
    received: float = field(default_factory=time.monotonic)
    camera: str = ""
    stamp_ns: int = 0
    header: Any = None
    rectified: bool = False
    picture: Rgb | None = None
    names: Any = None

    def read(self, pixels: int) -> Rgb:
        """The picture with at most so many pixels; read once, and the message is let go: a large
        one would be held as long as questions about it are possible. Raises InvalidImageError."""
        if self.picture is None:
            self.picture = read_message(self.message, pixels)
            self.header, self.message = self.message.header, None
        return self.picture

    @property
    def age_s(self) -> float:
        """Seconds since it arrived."""
        return time.monotonic() - self.received


class FrameSlots:
    """One slot per camera: a new frame replaces the one that nobody looked at.

    The camera that was looked at longest ago comes first, so a quick camera cannot starve a slow
    one. Not safe for several threads: its owner holds a lock.
    """

    def __init__(self) -> None:
        self._newest: dict[str, Snapshot] = {}
        self._fresh: set[str] = set()
        self._looked_at: dict[str, float] = {}

    def put(self, snapshot: Snapshot) -> bool:
        """Leave a frame; True when the one before it was never looked at."""
        camera = snapshot.camera
        dropped = camera in self._fresh
        self._newest[camera] = snapshot
        self._fresh.add(camera)
        return dropped

    def newest(self, camera: str) -> Snapshot | None:
        """The newest frame of a camera."""
        return self._newest.get(camera)

    def fresh(self) -> list[str]:
        """Cameras with a frame that was not looked at, longest neglected first."""
        return sorted(self._fresh, key=lambda name: (self._looked_at.get(name, 0.0), name))

    def take(self, camera: str) -> Snapshot | None:
        """The newest frame of a camera, which now counts as looked at."""
        self._fresh.discard(camera)
        self._looked_at[camera] = time.monotonic()
        return self._newest.get(camera)

    def since_look(self, camera: str) -> float:
        """Seconds since a frame of this camera was taken."""
        return time.monotonic() - self._looked_at.get(camera, 0.0)

    def renew(self, camera: str) -> None:
        """Have the newest frame of a camera looked at again."""
        if camera in self._newest:
            self._fresh.add(camera)

    def drop(self, camera: str) -> None:
        """Forget the newest frame of a camera."""
        self._fresh.discard(camera)
        self._newest.pop(camera, None)
