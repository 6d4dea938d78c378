"""What the checks of the lock set are given: texts, settings and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from cooper_ros.runtime.tokenizer import Tokenizer

DEPTH = "<depth-estimation>Draw depth.</depth-estimation>"
SEGMENTATION = "<segmentation>Colour all.</segmentation>"


def question_texts(tokenizer: Tokenizer) -> dict[str, Any]:
    """Entries of `cases.json` that the checks read as input, under dotted names."""
    spoken = ("how far is the mug?", "2.35 metres", "naïve café\n\n  in", DEPTH)
    tokens = tokenizer.marker_ids

    def packed(*texts: str) -> list[int]:
        ids: list[int] = []
        for text in texts:
            ids += [tokens.text_start, *tokenizer.encode(text), tokens.text_end]
        return ids

    sizes = ((640, 480), (1920, 1080), (100, 900), (37, 53), (4000, 3000), (2107, 610))
    loop = {
        "question": "How far is the mug?",
        "script": [
            f"<think>Depth helps.</think>\n{DEPTH}",
            f"<think>Now objects.</think>\n{SEGMENTATION}",
            "<answer>1.7 m</answer>",
        ],
        "num_timesteps": 4,
        "cfg": [4.0, 2.0, [0.4, 1.0], 3.0, "text_channel"],
    }
    loop2 = {
        "question": "How far is the mug?",
        "script": ["<think>No.</think>", f"{SEGMENTATION} and {DEPTH}", "<think>End.</think>"],
        "num_timesteps": 3,
        "cfg": [3.0, 1.5, [0.0, 1.0], 3.0, "channel"],
    }
    columns = ("vae_1024_512_16", "vit_518_224_14")
    return {
        "prompts.system": "Answer questions about the image.",
        "prompts.after_map": "\nCheck the map.\n",
        "prompts.depth": DEPTH,
        "prompts.segmentation": SEGMENTATION,
        "vae_transform": [64, 32, 16],
        "vit_transform": [56, 28, 14],
        "tokenizer_cases": [{"text": text} for text in spoken],
        "resize_cases_wh": [{"in": list(size), **dict.fromkeys(columns)} for size in sizes],
        "greedy_ids_text_vae_vit_text": [0] * 12,
        "velocity_cases.plain": [1, 1, "global", 0.7],
        "velocity_cases.text4": [4, 1, "global", 0.7],
        "velocity_cases.text4_img2_global": [4, 2, "global", 0.7],
        "velocity_cases.text4_img2_channel": [4, 2, "channel", 0.35],
        "velocity_cases.text4_img2_textchannel": [4, 2, "text_channel", 0.9],
        "velocity_cases_extra.img2_only": [1, 2, "global", 0.7],
        "velocity_cases_extra.renorm_min06": [4, 2, "global", 0.7, 0.6],
        **{f"loop.{key}": value for key, value in loop.items()},
        **{f"loop2.{key}": value for key, value in loop2.items()},
        "train.order": "as in conformance_torch.check_training",
        "train2.order": "as in conformance_torch.check_training",
        "train.text_ids": packed(DEPTH, "It is 1.7 m."),
        "train2.text_ids": packed(DEPTH, "A mug.", "Where?", SEGMENTATION, DEPTH, "0.4 m."),
        "train2.timestep_shift": 2.0,
    }


def smooth_picture(random: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """A smooth coloured picture uint8 [H, W, 3]: a resize of noise, in integers only."""
    coarse = random.randint(0, 256, (height // 8 + 2, width // 8 + 2, 3))
    rows, columns = np.arange(height), np.arange(width)
    y, x = rows // 8, columns // 8
    a, b = (rows % 8)[:, None, None], (columns % 8)[None, :, None]
    top = coarse[y][:, x] * (8 - b) + coarse[y][:, x + 1] * b
    bottom = coarse[y + 1][:, x] * (8 - b) + coarse[y + 1][:, x + 1] * b
    return ((top * (8 - a) + bottom * a) // 64).astype(np.uint8)
