"""One entry for all stages: builds model, data and engine, in one process or several."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from cooper_ros.core.errors import CooperError
from cooper_ros.model.checkpoint import load_model, save_model
from cooper_ros.model.configuration import CooperConfig
from cooper_ros.model.modeling import CooperModel
from cooper_ros.reasoning.phrasings import vocabulary
from cooper_ros.runtime.tokenizer import Tokenizer

from . import precision
from .align import align_drawing_layers, align_map_heads, align_task_heads
from .batches import Mixture
from .device import choose, on
from .engine import Budget, Engine
from .frames import FrameBatch, FrameStore, fit
from .options import (
    TrainOptions,
    codecs_of,
    fused_settings,
    grammar_of,
    newest_words,
    parse_sizes,
    prompted,
    token_ids,
    tokenizer_of,
)
from .photos import PhotoStore
from .readout import FILE as READ_OUT
from .readout import SeeStage
from .resident import on_gpu, resident_photos
from .setup import (
    align_generation_queries,
    freeze,
    initialise,
    load_imagenet_tower,
    training_config,
)
from .stage1 import FramePasses, MapStage
from .state import PLACE, Place, replace_folder, write_text
from .stream import open_store

if TYPE_CHECKING:
    from .slots import SlotMaker
    from .writing import WritingAhead


WRITERS = 6
"""Processes that write questions beside a GPU."""

WORD_TABLES = ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight")



def grow(model: CooperModel, smaller: CooperModel) -> None:
    """Take over all weights of ``smaller`` that ``model`` has in the same shape; new parts stay.

    The layers over the frozen features start as the identity, so a tower that has more of them
    computes what it computed before.
    """
    own, other = model.state_dict(), smaller.state_dict()
    fits = {n: t for n, t in other.items() if n in own and own[n].shape == t.shape}
    for name in WORD_TABLES:  # new words stand behind the old ones
        if name not in fits and own[name].shape[1:] == other[name].shape[1:]:
            fits[name] = torch.cat([other[name], own[name][len(other[name]) :]])
    model.load_state_dict(fits, strict=False)
    print(f"{len(fits)} of {len(own)} tensors are those of the start model")


def place_of(o: TrainOptions) -> Place | None:
    """Where the run that ``--go-on`` names had come; None without it.

    Raises CooperError for a model without ``training.json``, or of another stage.
    """
    if not o.go_on:
        return None
    place = Place.read(Path(o.go_on) / PLACE)
    if place.stage != o.stage:
        raise CooperError(f"{o.go_on} is a model of stage {place.stage}: it cannot go on as "
                          f"{o.stage}, start from it with --start")  # fmt: skip
    return place


def stage_of(start: str) -> str:
    """The stage that made a model, from the options beside its folder; empty where unknown."""
    path = Path(start).parent / "options.json"
    return str(json.loads(path.read_text()).get("stage", "")) if start and path.exists() else ""


def build(o: TrainOptions) -> tuple[CooperModel, Tokenizer]:
    """The model to train: from ``start`` or fresh with the ImageNet tower."""
    torch.manual_seed(
        o.seed
    )  # parts that keep torch's own initialisation must agree between processes
    start = o.go_on or o.start
    tokenizer = tokenizer_of(start, o.config)
    smaller = load_model(start, torch.float32) if start else None
    if smaller is not None and not o.config:
        model = smaller
    else:
        if o.stage == "sft":  # the stage that learns words
            tokenizer = newest_words(tokenizer, grammar_of(o.config))
        config = training_config(o.config or None, tokenizer.vocab_size, token_ids(tokenizer))
        if smaller is not None:
            known = smaller.config.autoencoder  # with the scale of its latents
            config.autoencoder.update({k: known[k] for k in ("scale_factor", "shift_factor")})
        model = CooperModel(config)
        initialise(model, o.seed)
        if model.config.vision["type"] == "efficientnet_lite":
            load_imagenet_tower(model)
        if smaller is not None:
            grow(model, smaller)
    for part in (model.vit_model, model.autoencoder):
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # ImageNet convolutions, where the tower has them; stage 1a may tune them in its last part
    frozen = [] if o.stage == "see" and o.tune_tower < 1 else ["vit_model.stem", "vit_model.blocks"]
    # Drawing also trains the autoencoder's decoder, on the latents it will really get; the encoder
    # stays, so that latents keep their meaning.
    draws = o.stage in ("amg", "sft")
    frozen.append("autoencoder.vae.encoder" if draws else "autoencoder")
    freeze(model, *frozen)
    return model.train(), tokenizer


def first_frames(store: FrameStore, sizes: list[tuple[float, int, int, int]]) -> FrameBatch:
    """Some frames for the regressions between the stages."""
    return fit(store.batch(torch.arange(min(64, len(store)))), *sizes[0][1:3])


def open_photos(o: TrainOptions, config: CooperConfig) -> PhotoStore:
    """The photos to train on."""
    if on_gpu():
        _, width, height, _ = parse_sizes(o.sizes, o.batch, config)[-1]
        return resident_photos(o.photos, (width, height))
    return PhotoStore(o.photos, "train")


def build_stage(
    o: TrainOptions, model: CooperModel, tokenizer: Tokenizer, rank: int, world: int
) -> Any:
    """The stage object of ``o.stage``."""
    start = o.go_on or o.start
    place = place_of(o)
    next_room = place.next_room if place is not None else 0
    store = open_store(o.data, o.out, rank, world, next_room=next_room)
    val = open_store(o.val, o.out, validation=True)
    photos = open_photos(o, model.config) if o.photos and o.stage != "autoencoder" else None
    val_photos = PhotoStore(o.photos, "val") if o.photos else None
    data = Mixture(store, photos, o.photo_share)
    if not len(store) or not len(val):
        raise CooperError(
            f"no shards for rank {rank} in {o.data} or {o.val}: run `cooper data sim`"
        )
    codecs = codecs_of(model.config)
    if o.stage == "autoencoder":
        from .autoencoder import AutoencoderStage

        size = parse_sizes(o.sizes, o.batch, model.config)[0][1:3]
        return AutoencoderStage(model, store, val, codecs, o.batch or 32, size)
    passes = FramePasses(model, prompted(model.config, tokenizer))
    sizes = parse_sizes(o.sizes, o.batch, model.config)
    if o.stage == "see":
        see = SeeStage(passes, data, val, codecs, sizes, val_photos, o.tune_tower)
        if start:
            see.read_out.load(Path(start))
        return see
    if o.stage == "sft" and photos is None:
        data = Mixture(store, unknown=0.0)  # maps of the questions' own pictures
    # a fresh read-out would pull at states that answers are being learnt from
    reads = o.stage == "amg" or (bool(start) and (Path(start) / READ_OUT).exists())
    maps = MapStage(
        passes, data, val, codecs, sizes, auxiliary=reads, val_photos=val_photos
    )  # fmt: skip
    if maps.read_out is not None and start:
        maps.read_out.load(Path(start))
    before = "" if o.go_on else stage_of(o.start)
    if o.stage == "amg":
        if before == "see":
            first = first_frames(store, sizes)
            align_generation_queries(model)
            task, own = align_task_heads(passes, first), align_drawing_layers(passes, first)
            print(f"latents start with attention {own:.2f} to their cell, {task:.2f} to the prompt")
        return maps
    if o.stage == "sft":
        from .questions import question_source
        from .score import AnswerScore
        from .slots import SlotMaker
        from .stage2 import AnswerStage

        if before == "amg" and not model.config.map_features:
            first = first_frames(store, sizes)
            other = align_map_heads(passes, first, maps.truth(first)[2])
            print(f"map tokens start with attention {other:.2f} to the other map's cell")
        ids = model.config.special_tokens
        grammar = int(model.config.runtime.get("grammar", 1))
        if tokenizer.vocab_size < len(vocabulary(grammar)):
            raise CooperError(
                f"the start model lacks words of grammar {grammar}: give its configuration "
                "(--config), and the words are added"
            )
        maker = SlotMaker(tokenizer, ids["bos"], ids["eos"], grammar)
        return AnswerStage(
            maps,
            store,
            maker,
            question_source(grammar),
            o.batch or 12,
            replay=o.replay,
            score=AnswerScore(val, tokenizer, o.score_frames),
            fused=fused_settings(model.config),
            pointing=o.pointing,
            apart=o.apart,
            dropout=o.view_dropout,
            seed=o.seed * 64 + rank,
            ahead=_writers(o, tokenizer, maker, grammar, bool(model.config.map_features)),
        )
    raise CooperError(f"unknown stage {o.stage!r}")


def _writers(
    o: TrainOptions, tokenizer: Tokenizer, maker: SlotMaker, grammar: int, fused: bool
) -> WritingAhead | None:
    """Processes that write the text of the next steps; None where a CPU trains, which has no core
    to spare for them."""
    from .writing import WritingAhead

    if not on_gpu():
        return None
    file = Path(o.out) / "tokenizer.json"
    tokenizer.save(file)
    return WritingAhead(WRITERS, file, maker.bos, maker.eos, grammar, 4, fused)


def worker(rank: int, o: TrainOptions, meeting: str) -> None:
    """One training process."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with on(choose(o.device, o.processes)):
        _work(rank, o, meeting)


def _work(rank: int, o: TrainOptions, meeting: str) -> None:
    if o.processes > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=o.processes
        )
    precision.use(precision.formats(o.numbers))
    if on_gpu():
        # What stays in float32 may round as tensor cores do. cuDNN's own search for the fastest
        # convolutions stays off: for the tower's gradients alone it took 75 s on an H200.
        torch.set_float32_matmul_precision("high")
    with torch.device("cpu"):  # initial weights are drawn on the host
        model, tokenizer = build(o)
    model.to(torch.get_default_device())
    stage = build_stage(o, model, tokenizer, rank, o.processes)
    rates = (0.01, 2e-3) if o.stage == "sft" else (0.02, 3e-3)
    engine = Engine(
        stage,
        o.out,
        Budget(o.minutes, o.steps, hold=o.hold, frames=o.frames, piece_minutes=o.piece_minutes),
        o.seed,
        rank,
        o.processes,
        o.muon_lr or rates[0],
        o.adam_lr or rates[1],
        o.ema,
        o.eval_seconds,
        o.save_seconds,
        o.log_steps,
        o.stage,
        place_of(o),
        o.profile,
    )
    ahead = getattr(stage, "ahead", None)
    stage.save_beside = lambda into: tokenizer.save(into / "tokenizer.json")
    try:
        engine.run()
    finally:
        if ahead is not None:
            ahead.close()
    if rank == 0 and o.stage == "autoencoder":
        engine.ema.swap(model)
        stage.normalise()
        replace_folder(Path(o.out) / "model", lambda into: _finished(model, tokenizer, into))
    if o.processes > 1:
        dist.barrier()
        dist.destroy_process_group()


def _finished(model: CooperModel, tokenizer: Tokenizer, into: Path) -> None:
    save_model(model, into, torch.float32)
    tokenizer.save(into / "tokenizer.json")


def train(o: TrainOptions) -> None:
    """Run a stage; the averaged model ends up in ``out/model``."""
    Path(o.out).mkdir(parents=True, exist_ok=True)
    write_text(Path(o.out) / "options.json", json.dumps(vars(o), indent=1))
    if o.numbers == "auto":  # measured once, the same for all processes
        with on(choose(o.device, o.processes)):
            chosen = precision.measure()
        print(f"numbers: {chosen}", flush=True)
        o.numbers = precision.named(chosen)
    if o.processes == 1:
        worker(0, o, "")
        return
    with tempfile.TemporaryDirectory() as folder:
        _spawn(o, str(Path(folder) / "meeting"))


def _spawn(o: TrainOptions, meeting: str) -> None:
    """Train in several processes; whatever ends this one ends them."""
    context = mp.spawn(worker, args=(o, meeting), nprocs=o.processes, join=False)
    try:
        while not context.join():
            pass
    except BaseException:
        for process in context.processes:  # a signal to this process alone reaches none of them
            process.kill()
        raise
