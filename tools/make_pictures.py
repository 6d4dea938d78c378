"""Makes the pictures of the documentation anew, from what is committed: `make pictures`.

usage: make_pictures.py [NAME...]

docs/demo.png, docs/view.png, docs/view_phone.png and docs/visualisation.jpg; all, or those named
("demo", "view", "visualisation"). The page needs Chromium. Look at them before you commit them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
SEED = 0
"""The world of all pictures: that of `make demo`, however well it is understood."""

LATER = 8
"""Frames over which objects are followed."""

WAIT_MS = 60_000
JPEG = [1, 88]  # cv2.IMWRITE_JPEG_QUALITY
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def demo() -> None:
    """What `make demo` saves."""
    command = ["-m", "cooper_ros.cli", "demo", "--seed", str(SEED)]
    subprocess.run([sys.executable, *command, "--picture", DOCS / "demo.png"], check=True)


@contextmanager
def served() -> Iterator[str]:
    """Address of `cooper view` with a simulated camera."""
    command = ["-m", "cooper_ros.cli", "view", "--sim", str(SEED), "--port", "0"]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                yield found[0]
                return
        raise SystemExit("cooper view has ended")
    finally:
        process.terminate()
        process.wait()


def view() -> None:
    """The page on a desk and on a phone, with two questions asked and a distance measured."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for size, name in ((DESKTOP, "view.png"), (PHONE, "view_phone.png")):
            page = browser.new_page(viewport=size)
            page.set_default_timeout(WAIT_MS)
            page.goto(address)
            _use(page)
            page.screenshot(path=DOCS / name)
            page.close()
        browser.close()


def _use(page: Any) -> None:
    for panel in ("camera", "depth", "segmentation"):
        page.wait_for_selector(f"#{panel}[data-pictures]")
    page.wait_for_selector("#examples button:nth-child(5)")
    for asked in (1, 2):
        page.click(f"#examples button:nth-child({3 - asked})")
        page.locator("#answers li[data-status]").nth(asked - 1).wait_for()
    page.evaluate("scrollTo(0, 0)")


def visualisation() -> None:
    """Overlay, depth, objects followed into a later frame, and the points from above."""
    import cv2
    import numpy as np

    from cooper_ros.core.keyframes import small_gray
    from cooper_ros.core.tracking import ObjectTracker
    from cooper_ros.core.types import Frame
    from cooper_ros.ros import lettering, overlay
    from cooper_ros.runtime.pipeline import CooperPipeline
    from cooper_ros.sim.stream import SimCamera

    pipeline = CooperPipeline.open()
    settings = pipeline.spec.segmentation
    assert settings is not None
    colors = overlay.display_colors(settings.colours)
    with SimCamera(seed=SEED) as camera:
        first = camera.step()
        later = [camera.step() for _ in range(LATER)]
    depth, segmentation = pipeline.see(Frame(first.rgb, first.intrinsics)).perceive()
    tracker = ObjectTracker()
    segmentation = tracker.start(small_gray(first.rgb), segmentation, first.intrinsics)
    for frame in later:
        followed = tracker.follow(small_gray(frame.rgb))
    near, far = (float(v) for v in np.nanpercentile(depth.depth, (1, 99)))
    size = lettering.text_size(first.rgb.shape[0])
    legend = overlay.depth_legend(first.rgb.shape[1], near, far, size)
    shown = overlay.draw_overlay(first.rgb, segmentation, colors, settings.stuff)
    boxes = overlay.draw_boxes(later[-1].rgb, followed, colors, settings.stuff)
    coloured = np.vstack([overlay.depth_picture(depth.depth, near, far), legend])
    gap = np.full_like(legend, overlay.DARK[0])

    def titled(text: str, *pictures: Any) -> Any:
        strip = np.full((2 * size, first.rgb.shape[1], 3), overlay.DARK, np.uint8)
        lettering.write(strip, text, size, size // 2, size)
        return np.vstack([strip, *pictures])

    rows = [
        np.hstack([titled("objects", shown, gap), titled("depth", coloured)]),
        np.hstack([titled(f"objects followed for {LATER} frames", boxes),
                   titled("points from above", _from_above(depth, first.rgb))]),
    ]  # fmt: skip
    done = cv2.imwrite(str(DOCS / "visualisation.jpg"), np.vstack(rows)[..., ::-1], JPEG)
    assert done


def _from_above(depth: Any, rgb: Any) -> Any:
    """The coloured points as a bird sees them, the camera at the bottom: uint8 like `rgb`."""
    import numpy as np

    from cooper_ros.core import geometry

    height, width = rgb.shape[:2]
    points = geometry.points(depth.depth, depth.intrinsics).reshape(-1, 3)
    x, y, z = points[np.isfinite(points).all(axis=1)].T
    colours = rgb.reshape(-1, 3)[np.isfinite(points).all(axis=1)]
    scale = 0.9 * height / float(z.max())
    columns, rows = np.round(width / 2 + scale * x), np.round(0.95 * height - scale * z)
    seen = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    order = np.flatnonzero(seen)[np.argsort(-y[seen])]  # what is higher hides what is below
    picture = np.full(rgb.shape, 24, np.uint8)
    picture[rows[order].astype(int), columns[order].astype(int)] = colours[order]
    return picture


def main(names: list[str]) -> int:
    """Make the pictures named, or all."""
    makers = {"demo": demo, "view": view, "visualisation": visualisation}
    if not set(names) <= set(makers):
        print(__doc__, file=sys.stderr)
        return 2
    for name in names or makers:
        makers[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
