"""Parameters about who names things and who answers; rows of the table in `parameters`."""

from __future__ import annotations

from cooper_ros.reasoning.vocabulary import synonyms_problem
from cooper_ros.ros.parameter_specs import ACTIVATE, ParameterSpec

NAMING: tuple[ParameterSpec, ...] = (
    ParameterSpec(
        "segmentation_source",
        "model",
        "Who names things: `model`; `external`: `detections` and `labels` of others; `merged`: "
        "others first, the model's maps where they are silent. `model: none` is always external.",
        ACTIVATE,
        choices=("model", "external", "merged"),
    ),
    ParameterSpec(
        "answers",
        "auto",
        "Who answers: `auto`: the model where it knows the names, else the maps alone; `model`: it "
        "alone; `measured`: the maps alone, no text of a model.",
        choices=("auto", "model", "measured"),
    ),
    ParameterSpec(
        "detection_min_score",
        0.0,
        "Detections of others with a lower score are not used.",
        minimum=0.0,
        maximum=1.0,
    ),
    ParameterSpec(
        "sync_wait_s",
        0.15,
        "How long an image waits for its detections and labels [s].",
        minimum=0.0,
        maximum=10.0,
    ),
    ParameterSpec(
        "sync_tolerance_s",
        0.01,
        "Detections and labels belong to an image when their stamps differ by at most this [s]; "
        "keep it below the time between two images.",
        minimum=0.0,
        maximum=1.0,
    ),
    ParameterSpec(
        "synonyms_file",
        "",
        "File of words for names: each line holds words that mean the same, with commas between; "
        "empty = the built-in ones.",
        check=synonyms_problem,
    ),
)
