"""A tiny world for training tests: striped frames with known depth, and a tiny model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

WIDTH, HEIGHT, FRAMES = 64, 48, 24


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Path:
    """Two shards in the simulator's format: coloured tiles, depth tied to the class."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    for s in range(2):
        rgb, depth, classes, objects = [], [], [], []
        for frame in range(FRAMES):
            order = rng.permutation(12)
            tile = order[(y // 16) * 4 + x // 16]
            rgb.append(np.stack([tile * 20, 255 - tile * 20, (tile % 3) * 90], -1).astype(np.uint8))
            depth.append((0.5 + 0.4 * tile).astype(np.float16))
            classes.append(tile.astype(np.uint8))
            for c in (3, 4, 5, 6):
                v, u = np.argwhere(tile == c).mean(0) / (HEIGHT, WIDTH)
                z = 0.5 + 0.4 * c
                px, py = (u * WIDTH - 31.5) / 50 * z, (v * HEIGHT - 23.5) / 50 * z
                r = float(np.sqrt(z * z + px * px + py * py))
                objects.append(
                    [frame, c, c, 256 / (WIDTH * HEIGHT), u, v, z, px, py, r, 0.3, 0.3, px, py, z]
                )
        np.savez(
            folder / f"shard-{s}.npz",
            rgb=np.stack(rgb),
            depth=np.stack(depth),
            classes=np.stack(classes),
            instances=np.stack(classes),
            intrinsics=np.tile(np.float32([50, 50, 31.5, 23.5]), (FRAMES, 1)),
            free_space=np.full(FRAMES, 1.5, np.float32),
            objects=np.float32(objects),
            seed=np.arange(FRAMES),
        )
    return folder


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory) -> Path:
    """Six photos of coloured tiles: names of some, "none of these" and "unknown" for others."""
    import json

    import cv2

    folder = tmp_path_factory.mktemp("photos")
    (folder / "photos").mkdir()
    (folder / "labels").mkdir()
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:60, 0:80]
    lines = []
    for number in range(6):
        tile = rng.permutation(20)[(y // 15) * 4 + x // 20]
        labels = np.where(tile < 6, tile, np.where(tile < 12, 254, 255)).astype(np.uint8)
        picture = np.stack([tile * 12, 255 - tile * 12, (tile % 3) * 90], -1).astype(np.uint8)
        cv2.imwrite(str(folder / "photos" / f"p{number}.jpg"), picture[..., ::-1])
        cv2.imwrite(str(folder / "labels" / f"p{number}.png"), labels[::2, ::2])
        split = "val" if number > 3 else "train"
        lines.append(json.dumps({"id": f"p{number}", "split": split}))
    (folder / "index.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Path:
    """cooper-nano's configuration with every width cut down."""
    import json

    from cooper_ros.training.setup import CONFIGS

    data = json.loads((CONFIGS / "nano.json").read_text())
    data.update(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=96,
    )
    data["vision"].update(
        hidden_size=32, intermediate_size=48, num_attention_heads=2, num_layers=1, patch_size=16
    )
    data["autoencoder"].update(ch=8, z_channels=8, norm_num_groups=4)
    data["runtime"]["vision_resize"].update(max_side=64, min_side=32, stride=16)
    data["runtime"]["map_resize"].update(max_side=32, min_side=16)
    path = tmp_path_factory.mktemp("config") / "tiny.json"
    path.write_text(json.dumps(data))
    return path
