"""Who names things: the model, others (`external`), or others first (`merged`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cooper_ros.core.classes import STUFF, SYNONYMS
from cooper_ros.core.errors import CooperError
from cooper_ros.core.named_maps import UNNAMED, NamedBox, NamedImage, name_maps
from cooper_ros.core.types import DepthMap, Segmentation
from cooper_ros.reasoning import vocabulary
from cooper_ros.ros.name_inputs import DETECTIONS, INSTANCES, LABELS, NameInputs, Partners
from cooper_ros.ros.name_messages import (
    NameTable,
    read_detections,
    read_instances,
    read_labels,
)
from cooper_ros.ros.slots import Snapshot
from cooper_ros.runtime.naming import Naming

MODEL, EXTERNAL, MERGED = "model", "external", "merged"
MAX_ANNOUNCED = 200
"""Names of a label_info that are known before they are seen; of a longer list only those seen."""
NO_DETECTIONS = "no detections for this image"


class NameSource(Mapping[str, NameInputs]):
    """The names of all cameras, alive from activate to deactivate.

    `deliver(snapshot)` gets images with their partners; `depth_ready(camera)`: see `NameInputs`.
    """

    def __init__(
        self,
        node: Any,
        cameras: tuple[str, ...],
        spec: Any,
        deliver: Callable[[Snapshot], None],
        depth_ready: Callable[[str], Callable[[int], bool]],
    ) -> None:
        self._node = node
        settings = spec.segmentation
        self._model_names = tuple(settings.names) if settings else ()
        self._prefix = spec.map_placement == "prefix"
        stuff = tuple(settings.stuff) if settings else STUFF
        self.table = NameTable(self._model_names, (*stuff, *STUFF))
        self.source = node.parameter("segmentation_source")
        self._inputs: dict[str, NameInputs] = {}
        if self.source != MODEL:
            self._inputs = {
                name: NameInputs(node, name, deliver, depth_ready(name)) for name in cameras
            }
        self._answers = "auto"
        self._min_score = 0.0
        self._file: str | None = None
        self._synonyms = vocabulary.SYNONYMS
        self._warned: set[str] = set()
        self.apply_parameters()

    def __getitem__(self, camera: str) -> NameInputs:
        return self._inputs[camera]

    def __iter__(self) -> Any:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def apply_parameters(self) -> None:
        """Take over the node's parameters."""
        self._answers = self._node.parameter("answers")
        self._min_score = float(self._node.parameter("detection_min_score"))
        for item in self._inputs.values():
            item.wait_s = float(self._node.parameter("sync_wait_s"))
            item.tolerance_s = float(self._node.parameter("sync_tolerance_s"))
        file = self._node.parameter("synonyms_file")
        if file != self._file:
            own = vocabulary.read_synonyms(file) if file else ()
            self._file, self._synonyms = file, (*own, *vocabulary.SYNONYMS)

    def naming(self, snapshot: Snapshot | None = None) -> Naming:
        """Names and rules for an image, or for questions before there is one."""
        missing = ""
        if snapshot is not None and self.source == EXTERNAL:
            partners = snapshot.names
            if partners is None or not partners.named:
                missing = NO_DETECTIONS
                item = self._inputs.get(snapshot.camera)
                why = item.why_missing if item is not None and snapshot.from_camera else ""
                missing += f": {why}" if why else ""
        others = self.table.names[len(self._model_names) :]
        return Naming(self._answers, others, self._synonyms, self.source != MODEL, missing)

    def put(
        self, context: Any, snapshot: Snapshot, depth: DepthMap, base: Segmentation | None
    ) -> Segmentation | None:
        """The segmentation of an image as its partners name it, which is put into its context;
        `base` is the model's, None without a model. None where nobody names anything."""
        if self.source == MODEL:
            return base
        problems: Counter[str] = Counter()
        given = self._given(snapshot, context.frame.full_size, problems)
        context.naming = self.naming(snapshot)
        if given is None:
            if self.source == MERGED:
                return base
            if problems:  # something came, but nothing that could be used
                why = f"{NO_DETECTIONS}: {'; '.join(problems)}"
                context.naming = replace(context.naming, missing=why)
            return None
        merged = base if self.source == MERGED else None
        named = name_maps(given, depth, context.frame.full_size, merged)
        if context.has_model and self._prefix and base is not None:
            self._show_model(context, base, named)
        context.put_segmentation(named)
        return named

    def _show_model(self, context: Any, base: Segmentation, named: Segmentation) -> None:
        """Put what the model has a class for into the context of its questions."""
        known = len(self._model_names)
        to_model = np.full(256, UNNAMED, np.uint8)
        to_model[:known] = np.arange(known)
        for class_id, name in enumerate(named.names):
            if class_id >= known and SYNONYMS.get(name) in self._model_names:
                to_model[class_id] = self._model_names.index(SYNONYMS[name])
        ids = to_model[named.labels]
        context.use_segmentation(np.where(ids == UNNAMED, base.labels, ids))

    def _given(
        self, snapshot: Snapshot, size: tuple[int, int], problems: Counter[str]
    ) -> NamedImage | None:
        partners: Partners | None = snapshot.names
        if partners is None or not partners.named:
            return None
        inputs = self._inputs[snapshot.camera]
        labels = self._read(inputs, LABELS, problems, partners.labels, size, partners.numbers)
        instances = self._read(inputs, INSTANCES, problems, partners.instances, size)
        if labels is not None and instances is not None and labels.shape != instances.shape:
            problems[f"{inputs.topics[INSTANCES].topic}: not of the size of the labels"] += 1
            instances = None
        boxes: tuple[NamedBox, ...] = ()
        if partners.detections is not None:
            boxes = tuple(
                read_detections(
                    partners.detections,
                    self.table,
                    partners.numbers,
                    size,
                    inputs.topics[DETECTIONS].topic,
                    self._min_score,
                    problems,
                )
            )
        if len(partners.numbers) <= MAX_ANNOUNCED:  # so that "is there one" has an answer
            for name in partners.numbers.values():
                self.table.id_of(name, problems)
        self._count(inputs, problems)
        if partners.detections is None and labels is None:
            return None
        return NamedImage(
            self.table.names,
            boxes,
            labels,
            instances,
            inputs.topics[LABELS].topic,
            self.table.stuff,
        )

    def _read(
        self,
        inputs: NameInputs,
        role: str,
        problems: Counter[str],
        message: Any,
        size: tuple[int, int],
        numbers: Mapping[int, str] | None = None,
    ) -> Any:
        """The values of an image of labels or masks, None with a counted problem."""
        if message is None:
            return None
        try:
            if numbers is None:
                return read_instances(message, size)
            self._note_stuff(inputs)
            return read_labels(message, self.table, numbers, size)
        except CooperError as error:
            problems[f"{inputs.topics[role].topic}: {error}"] += 1
            return None

    def _note_stuff(self, inputs: NameInputs) -> None:
        for name in inputs.announced()[1]:
            self.table.note_stuff(name)

    def _count(self, inputs: NameInputs, problems: Counter[str]) -> None:
        """Count what was bad; a kind that was not seen before is logged."""
        inputs.problems.update(problems)
        for what in problems:
            if what not in self._warned and len(self._warned) < 100:
                self._warned.add(what)
                self._node.get_logger().warning(f"skipped from now on: {what}")

    def poll(self) -> None:
        """See `NameInputs.poll`."""
        for item in self._inputs.values():
            item.poll()

    def close(self) -> None:
        """Stop listening."""
        for item in self._inputs.values():
            item.close()
