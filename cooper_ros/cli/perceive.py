"""Depth and segmentation of one image file.

With --out writes depth.npy [m] (or depth_relative.npy in [0, 1] where there are no intrinsics),
labels.png (class ids), both at the size of the picture up to 16 megapixels; and for the eye, of at
most 1280x720 pixels, segmentation.png, depth.png, with a legend where it is in metres, and
overlay.png, the best objects with names and distances.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooper_ros.cli.images import add_image_arguments, finite, picture_notes, read_frame

if TYPE_CHECKING:
    from cooper_ros.core.types import DepthMap, Segmentation
    from cooper_ros.runtime.frame_context import FrameContext

EXAMPLE = "cooper perceive kitchen.jpg --intrinsics 554,554,320,240 --out maps"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper perceive`."""
    add_image_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="write the maps here")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Perceive and report."""
    import time

    from cooper_ros.runtime.pipeline import CooperPipeline

    frame = read_frame(args.image, args.intrinsics)
    pipeline = CooperPipeline.open(args.model, args.backend, args.threads)
    started = time.monotonic()
    context = pipeline.see(frame)
    depth, segmentation = context.perceive()
    seconds = time.monotonic() - started
    files = _write(Path(args.out), context, depth, segmentation) if args.out else []
    summary = _summary(depth, segmentation)
    if args.json:
        summary |= {"model_id": pipeline.model_id, "seconds": seconds, "files": files}
        summary |= {"size": list(frame.full_size), "notes": picture_notes(frame)}
        print(json.dumps(summary))
        return 0
    width, height = frame.full_size
    print(f"{width}x{height}, {pipeline.model_id}, {seconds:.2f} s")
    for note in picture_notes(frame):
        print(f"note: {note}")
    if depth.metric:
        near, far = summary["depth"]["near_m"], summary["depth"]["far_m"]
        print(f"depth {near:.2f} to {far:.2f} m (5 to 95 % of the pixels)")
    else:
        print("depth is relative only: no metres without intrinsics (--intrinsics fx,fy,cx,cy)")
    for item in summary["segments"]:
        distance = "" if item["distance_m"] is None else f"  {item['distance_m']:.2f} m"
        print(f"  {item['label']:<10} {item['pixels']:>7} px  score {item['score']:.2f}{distance}")
    for file in files:
        print(f"wrote {file}")
    return 0


def _summary(depth: DepthMap, segmentation: Segmentation) -> dict[str, Any]:
    import numpy as np

    near, far = (None, None)
    if depth.metric:
        near, far = (float(value) for value in np.nanpercentile(depth.depth, (5, 95)))
    return {
        "depth": {
            "metric": depth.metric,
            "scale_source": depth.scale_source.name.lower(),
            "near_m": near,
            "far_m": far,
        },
        "segments": [
            {
                "label": segment.label,
                "instance": segment.instance,
                "score": finite(segment.score),
                "box": list(segment.box),
                "pixels": segment.pixel_count,
                "distance_m": finite(segment.distance_m),
                "position": [finite(value) for value in segment.position],
            }
            for segment in sorted(segmentation.segments, key=lambda item: -item.pixel_count)
        ],
    }


def _write(
    out: Path, context: FrameContext, depth: DepthMap, segmentation: Segmentation
) -> list[str]:
    from dataclasses import replace

    import numpy as np
    from PIL import Image

    from cooper_ros.core.images import from_tensor, resize_depth, resize_labels, resize_score
    from cooper_ros.core.pictures import MAX_PIXELS, size_within
    from cooper_ros.core.segments import segments_at
    from cooper_ros.ros import lettering, overlay

    out.mkdir(parents=True, exist_ok=True)
    name = "depth.npy" if depth.metric else "depth_relative.npy"
    values = depth.depth if depth.metric else depth.relative
    frame = context.frame
    size = size_within(*frame.full_size, MAX_PIXELS)
    np.save(out / name, (resize_depth if depth.metric else resize_score)(values, *size)
            if frame.is_reduced else values)  # fmt: skip
    known = values[np.isfinite(values)]
    near, far = (float(v) for v in np.percentile(known, (1, 99))) if known.size else (0.0, 1.0)
    picture = overlay.depth_picture(values, near, far)
    if depth.metric:
        height, width = picture.shape[:2]
        legend = overlay.depth_legend(width, near, far, lettering.text_size(height))
        picture = np.vstack([picture, legend])
    Image.fromarray(picture).save(out / "depth.png")
    Image.fromarray(resize_labels(segmentation.labels, *size)).save(out / "labels.png")
    settings = context.spec.segmentation
    assert settings is not None
    codec = settings.codec()
    picture = from_tensor(codec.encode(segmentation.labels))
    Image.fromarray(picture).save(out / "segmentation.png")
    colors = overlay.display_colors(settings.colours)
    here = segments_at(segmentation.segments, frame.full_size, frame.width, frame.height)
    drawn = replace(segmentation, segments=tuple(here))
    objects = overlay.draw_overlay(frame.rgb, drawn, colors, settings.stuff)
    Image.fromarray(objects).save(out / "overlay.png")
    written = (name, "labels.png", "depth.png", "segmentation.png", "overlay.png")
    return [str(out / file) for file in written]
