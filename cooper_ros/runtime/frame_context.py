"""One camera image that was seen: its maps and the questions about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.images import resize_depth, resize_labels, resize_rgb
from cooper_ros.core.rectify import rectifier_for
from cooper_ros.core.types import (
    DepthMap,
    Frame,
    ScaleReport,
    ScaleSource,
    Segmentation,
    SpatialAnswer,
)
from cooper_ros.reasoning.loop import MapSegment
from cooper_ros.reasoning.tags import DEPTH, SEGMENTATION, MapKind
from cooper_ros.runtime.asking import ask
from cooper_ros.runtime.backend import Float
from cooper_ros.runtime.calibration import Calibration
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.drawing import IMAGE_ONLY, batches, conditions
from cooper_ros.runtime.events import Event
from cooper_ros.runtime.flow import initial_latents
from cooper_ros.runtime.generation import Decoding, generate_latents
from cooper_ros.runtime.lens import (
    depth_to_image,
    depth_to_view,
    rectified,
    segmentation_to_image,
    with_confidence,
)
from cooper_ros.runtime.maps import (
    depth_map,
    segmentation_map,
    usable_intrinsics,
    without_confidence,
    without_score,
)
from cooper_ros.runtime.min_score import MinScore
from cooper_ros.runtime.naming import Naming
from cooper_ros.runtime.pictures import encode_latents, prepare
from cooper_ros.runtime.real_pictures import ALONE, ANCHORED, RealPictures
from cooper_ros.runtime.spec import ModelSpec
from cooper_ros.runtime.store import ContextStore, GeneratedMap


class FrameContext:
    """A frame whose image the model has read, once. Maps are made when first asked for.

    Not safe for use from several threads at once.
    """

    has_model = True

    def __init__(
        self,
        engine: Engine,
        frame: Frame,
        model_id: str = "",
        seed: int = 0,
        calibration: Calibration | None = None,
        min_score: MinScore | None = None,
        real: RealPictures | None = None,
        naming: Naming = Naming(),  # noqa: B008 - frozen
    ) -> None:
        engine.check()
        self.engine = engine
        self.frame = frame
        self.model_id = model_id
        self.seed = seed
        self.calibration = calibration
        self._min_score = min_score or MinScore()
        self._if_real = real
        self.naming = naming
        # The model looks through a pinhole; what it draws is put back to the image's own pixels.
        self._lens = rectifier_for(usable_intrinsics(frame))
        self._view = frame if self._lens is None else rectified(frame, self._lens)
        pictures = prepare(engine.spec, self._view.rgb)
        self.store = ContextStore(engine, pictures, usable_intrinsics(self._view))
        self._maps: dict[MapKind, GeneratedMap] = {}
        self._depth: DepthMap | None = None
        self._segmentation: Segmentation | None = None
        self._put_depth = self._depth_shown = False
        self.gravity: NDArray[np.float64] | None = None
        """Direction of gravity, camera optical frame, where it is known: heights go along it."""
        if not engine.spec.prompts.system:
            # Where nothing stands before the image, it is read now, once for all that follows.
            self.store.context(IMAGE_ONLY)

    @property
    def spec(self) -> ModelSpec:
        """The model's numbers."""
        return self.engine.spec

    @cached_property
    def real(self) -> RealPictures | None:
        """What holds for this picture because it is unlike simulated rooms; None where it is like
        them, or where nobody measured that."""
        if self._if_real is None:
            return None
        if self.store.vision_mean is None:
            self.store.context(IMAGE_ONLY)
        return self._if_real if self._if_real.likeness.unlike(self.store.vision_mean) else None

    def depth(self, cancel: CancelToken | None = None) -> DepthMap:
        """Depth at the frame's resolution, stamped as the frame; cached.

        Without intrinsics (or with a model whose code is not in metres) only relative depth: the
        result says `metric=False` and its metres are NaN. The confidence of a calibrated model is
        better where the segmentation was generated before. Raises GenerationCancelled.
        """
        if self._depth is None:
            picture = self.map(DEPTH, cancel).picture
            confidence = self._confidence(picture)
            drawn = depth_map(
                self.spec, self._view, picture, confidence, self.calibration, self.real
            )
            lens = self._lens
            self._depth = drawn if lens is None else depth_to_image(drawn, lens, self.frame)
        return self._depth

    def nominal_depth(self, cancel: CancelToken | None = None) -> Float:
        """Depth f32 [H, W] that the model's code names [m], at the frame's resolution.

        In metres only for a model trained in metres; `core.scale` makes metres of it for others.
        """
        self.make_maps(self._kinds, cancel)
        if not self._put_depth and self.depth(cancel).metric:
            return self.depth(cancel).depth  # decoded already
        metres = self.spec.depth.codec().decode(self.map(DEPTH, cancel).picture)
        metres = resize_depth(metres, self.frame.width, self.frame.height)
        return metres if self._lens is None else self._lens.map_to_image(metres)

    @property
    def _kinds(self) -> tuple[MapKind, ...]:
        """The maps of this model: generated in one batch they cost less."""
        return (DEPTH, SEGMENTATION) if self.spec.segmentation is not None else (DEPTH,)

    def labels(self, cancel: CancelToken | None = None) -> NDArray[np.uint8] | None:
        """Class ids uint8 [h, w] of the whole image, None for a model without classes.

        At the model's resolution; at that of the image where lens distortion was taken out.
        """
        settings = self.spec.segmentation
        if settings is None:
            return None
        self.make_maps(self._kinds, cancel)
        ids = self.map(SEGMENTATION, cancel).classes(self.spec)[0]
        if self._lens is None:
            return ids
        return self._lens.map_to_image(resize_labels(ids, self.frame.width, self.frame.height))

    def drawn_depth(self, made: GeneratedMap) -> DepthMap:
        """Depth of a map that was drawn for a question: through the lens, and in the metres of
        this frame's scale, as `depth` is. At the frame's resolution."""
        drawn = depth_map(self.spec, self._view, made.picture)
        fitted = self._depth.scale if self._put_depth and self._depth is not None else None
        if fitted is not None and fitted.source is not ScaleSource.EXTERNAL:
            nominal = self.spec.depth.codec().decode(made.picture)
            nominal = resize_depth(nominal, self.frame.width, self.frame.height)
            drawn = replace(
                drawn,
                depth=fitted.metres(nominal).astype(np.float32),
                metric=True,
                scale_source=fitted.source,
                scale=fitted,
            )
        return drawn if self._lens is None else depth_to_image(drawn, self._lens, self.frame)

    def drawn_segmentation(
        self, made: GeneratedMap, depth: DepthMap | None = None
    ) -> Segmentation | None:
        """Segmentation of a map that was drawn for a question, with distances from `depth` of this
        frame; None for a model without classes. At the frame's resolution."""
        if self.spec.segmentation is None:
            return None
        if self._lens is None:
            return segmentation_map(
                self.spec, self.frame, made.picture, depth, reading=made.reading
            )
        seen = depth_to_view(depth, self._lens) if depth is not None else None
        drawn = segmentation_map(self.spec, self._view, made.picture, seen, reading=made.reading)
        return segmentation_to_image(drawn, self._lens)

    def drawn_rgb(self, made: GeneratedMap) -> NDArray[np.uint8]:
        """The colours of a map at the pixels of the frame, uint8 [H, W, 3], black where the lens
        saw more than the model did."""
        rgb = resize_rgb(made.rgb(), self.frame.width, self.frame.height)
        return rgb if self._lens is None else self._lens.picture_to_image(rgb)

    def drop_scores(self) -> None:
        """Let go of the maps of confidence and score: questions do not read them."""
        if self._depth is not None:
            self._depth = without_confidence(self._depth)
        if self._segmentation is not None:
            self._segmentation = without_score(self._segmentation)

    def put_depth(self, depth: DepthMap) -> None:
        """Use this depth of the same frame from now on: in results, and (a model that takes its
        maps before the question) in the context of questions, so that answers follow it too.
        """
        if depth.scale_source in (ScaleSource.ANCHORED, ScaleSource.CALIBRATED):
            depth = self._with_anchors(depth)
        self._depth, self._segmentation = depth, None
        self._put_depth, self._depth_shown = depth.metric, False

    def _with_anchors(self, depth: DepthMap) -> DepthMap:
        """The depth with the confidence that a real picture's has once its scale is known."""
        if self.real is None or not self.has_map(DEPTH) or depth.half_width is not None:
            return depth
        confidence = self._confidence(self.map(DEPTH).picture, ANCHORED)
        return with_confidence(depth, confidence, self._lens)

    def note_scale(self, report: ScaleReport) -> None:
        """Say more about the scale of the depth that is there."""
        self._depth = replace(self.depth(), scale=report)

    def show_depth(self) -> None:
        """Put the depth given to `put_depth` into the context of questions; called by `ask`."""
        if not self._put_depth or self._depth_shown or self.spec.map_placement != "prefix":
            return
        assert self._depth is not None
        depth, segmentation = self._depth, self._segmentation
        self.use_depth(depth.depth)
        self._depth, self._segmentation = depth, segmentation
        self._put_depth = self._depth_shown = True

    @property
    def has_metres(self) -> bool:
        """Whether lengths can be given: depth was put in metres, or the model's code is in metres
        and the camera's intrinsics are known."""
        if self._put_depth:
            return True
        return self.store.intrinsics is not None and self.spec.depth.metric

    @property
    def scale_source(self) -> ScaleSource:
        """Where the metres of this frame come from."""
        if self._put_depth and self._depth is not None:
            return self._depth.scale_source
        return ScaleSource.MODEL_PRIOR if self.has_metres else ScaleSource.UNKNOWN

    def put_segmentation(self, segmentation: Segmentation) -> None:
        """Use this one of the same frame, by whoever named it, in results and measurements, until
        depth or a map is put."""
        self._segmentation = segmentation

    def segmentation(self, cancel: CancelToken | None = None) -> Segmentation:
        """Classes and segments at the frame's resolution, stamped as the frame; cached.

        Objects below the least score of their class are left out. Segments carry distances where
        depth is metric. Raises GenerationCancelled, and CooperError for a model without class
        palette.
        """
        if self._segmentation is None:
            self.make_maps((DEPTH, SEGMENTATION), cancel)
            made = self.map(SEGMENTATION, cancel)
            depth = self.depth(cancel)
            if self._lens is None:
                drawn_depth = None if self._put_depth else self.map(DEPTH, cancel).picture
                found = segmentation_map(
                    self.spec, self.frame, made.picture, depth, drawn_depth, made.reading
                )
            else:
                seen = depth_to_view(depth, self._lens)
                drawn = segmentation_map(
                    self.spec, self._view, made.picture, seen, reading=made.reading
                )
                found = segmentation_to_image(drawn, self._lens)
            settings = self.spec.segmentation
            least = self.real.stricter(self._min_score) if self.real else self._min_score
            self._segmentation = least.applied(found, settings.stuff if settings else ())
        return self._segmentation

    def perceive(self, cancel: CancelToken | None = None) -> tuple[DepthMap, Segmentation]:
        """Both maps, generated in one batch where the model allows it."""
        self.make_maps((DEPTH, SEGMENTATION), cancel)
        return self.depth(cancel), self.segmentation(cancel)

    def map(self, kind: MapKind, cancel: CancelToken | None = None) -> GeneratedMap:
        """The map as generated, at the model's resolution; cached."""
        self.make_maps((kind,), cancel)
        return self._maps[kind]

    def has_map(self, kind: MapKind) -> bool:
        """Whether the map was made already."""
        return kind in self._maps

    def make_maps(self, kinds: Sequence[MapKind], cancel: CancelToken | None = None) -> None:
        """Generate those of the maps that are missing."""
        missing = [kind for kind in kinds if kind not in self._maps]
        if not missing:
            return
        settings, pictures = self.spec.perception, self.store.pictures
        count = pictures.rows * pictures.columns
        noise = initial_latents(settings, (count, self.spec.latent_dim), self.seed)
        for batch in batches(self.engine, missing):
            tokens = generate_latents(
                conditions(self.store, batch),
                np.repeat(noise[None], len(batch), axis=0),
                pictures.rows,
                pictures.columns,
                settings,
                cancel,
            )
            for kind, row in zip(batch, tokens, strict=True):
                self.put_map(GeneratedMap.decode(self.engine, kind, row, pictures))

    def put_map(self, made: GeneratedMap) -> None:
        """Use this map from now on, for results and in the context of questions."""
        self._maps[made.kind] = made
        self.store.set_map(MapSegment(made.kind), made)
        self._segmentation = None
        if made.kind == DEPTH:
            self._depth, self._put_depth = None, False

    def use_depth(self, depth_m: Float) -> None:
        """Put another depth [m], f32 [H, W] of any size, in place of the generated one.

        Unknown pixels (NaN) become the far end of the code. For sensors with better depth, and for
        tests of whether the model reads its maps.
        """
        rows, columns = self.store.pictures.map_rgb.shape[:2]
        if self._lens is not None:
            whole = resize_depth(depth_m, self.frame.width, self.frame.height)
            depth_m = self._lens.map_to_view(whole)
        picture = self.spec.depth.codec().encode(resize_depth(depth_m, columns, rows))
        self._use(DEPTH, np.nan_to_num(picture, nan=1.0))

    def use_segmentation(self, labels: NDArray[np.integer]) -> None:
        """Put other class ids [H, W] in place of the generated segmentation (see `use_depth`)."""
        if self.spec.segmentation is None:
            raise ValueError("this model has no class palette")
        rows, columns = self.store.pictures.map_rgb.shape[:2]
        if self._lens is not None:
            whole = resize_labels(labels, self.frame.width, self.frame.height)
            labels = self._lens.map_to_view(whole.astype(np.uint8))
        picture = self.spec.segmentation.codec().encode(resize_labels(labels, columns, rows))
        self._use(SEGMENTATION, picture)

    def ask(
        self,
        question: str,
        mode: str = "interleaved",
        cancel: CancelToken | None = None,
        decoding: Decoding | None = None,
    ) -> Iterator[Event]:
        """Answer a question; yields events, the last one is the `SpatialAnswer`.

        Modes: `interleaved` (the model asks for maps and sees them), `maps` (both maps are in the
        context from the start; prefix placement only), `direct` (image alone). After
        `cancel.cancel()` the answer comes with status CANCELED and what was reached.

        Raises QuestionError for a question that cannot be understood.
        """
        self.engine.check()
        return ask(self, question, mode, cancel, decoding)

    def answer(
        self, question: str, mode: str = "interleaved", cancel: CancelToken | None = None
    ) -> SpatialAnswer:
        """The answer alone, without the events before it."""
        *_, last = self.ask(question, mode, cancel)
        assert isinstance(last, SpatialAnswer)
        return last

    def _confidence(self, picture: Float, kind: str = ALONE) -> Float | None:
        """Calibrated confidence of a depth picture; None for a model without."""
        fitted = self.calibration.depth if self.calibration else None
        if fitted is None:
            return None
        drawn = self._maps.get(SEGMENTATION)
        classes = (None, None) if drawn is None else (drawn.picture, drawn.reading)
        found = fitted.score(self.spec, picture, *classes)
        return found if found is None or self.real is None else self.real.trusted(found, kind)

    def _use(self, kind: MapKind, picture: Float) -> None:
        if self.spec.map_context == "fused":  # its context is made of the picture, not of latents
            tokens: Float = np.zeros((0, self.spec.latent_dim), np.float32)
        else:
            tokens = encode_latents(self.engine, picture)
        self.put_map(GeneratedMap(kind, tokens, picture))
