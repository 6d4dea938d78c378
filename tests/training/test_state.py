"""What a run leaves behind is whole or not there, and training goes on from either."""

from __future__ import annotations

import errno
import json
import subprocess
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

import cooper_ros.training.run as run  # noqa: E402
import cooper_ros.training.state as state  # noqa: E402
from cooper_ros.core.errors import CooperError  # noqa: E402
from cooper_ros.training.engine import Budget, Engine, Means  # noqa: E402
from cooper_ros.training.state import PLACE, Place, load_state, replace_folder  # noqa: E402


class Toy:
    """Finds the middle of numbers drawn from the step's generator."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(4, 4)
        self.broken_at = -1

    def loss(self, step, progress, g):
        x = torch.rand(8, 4, generator=g)
        loss = (self.model(x) - x.flip(1)).square().mean()
        if step == self.broken_at:
            loss = loss * float("nan")
        figures = {"samples": 8, "error": float(loss.detach())}
        return loss, figures | ({"odd": 1.0} if step % 2 else {})

    def evaluate(self):
        x = torch.rand(64, 4, generator=torch.Generator().manual_seed(9))
        return {"error": float((self.model(x) - x.flip(1)).square().mean().detach())}

    def refresh(self):
        pass

    def next_room(self):
        return 17


@pytest.fixture(autouse=True)
def plain_model(monkeypatch):
    """The averaged model of a toy is its tensors."""
    monkeypatch.setattr(
        "cooper_ros.training.engine.save_model",
        lambda model, into, dtype, tensors: state.save_tensors(tensors, into, "model"),
    )


def engine(folder: Path, toy: Toy | None = None, **given) -> Engine:
    budget = given.pop("budget", Budget(frames=8 * 40))
    return Engine(toy or Toy(), folder, budget, name="toy", log_steps=1, **given)


def trained(engine: Engine) -> torch.Tensor:
    engine.run()
    return engine.stage.model.weight.detach().clone()  # type: ignore[union-attr]


def test_a_budget_in_frames_ends_there(tmp_path):
    done = engine(tmp_path)
    done.run()
    assert (done.samples, done.step) == (320, 40)
    assert Place.read(tmp_path / "state.json").next_room == 17


def test_pieces_end_where_one_run_ends(tmp_path, monkeypatch):
    """Three calls of a piece each, by a clock of one second per step, equal one call."""
    whole = trained(engine(tmp_path / "whole"))
    ticks = iter(range(10_000))
    monkeypatch.setattr("cooper_ros.training.engine.time.perf_counter", lambda: next(ticks))
    calls = 0
    while True:
        part = engine(tmp_path / "parts", budget=Budget(frames=320, piece_minutes=15 / 60))
        before = part.step
        part.run()
        calls += 1
        if part.samples >= 320:
            break
        assert part.step == before + 15
    assert calls == 3
    assert torch.equal(part.stage.model.weight, whole)  # type: ignore[union-attr]


def test_a_lost_run_goes_on_from_its_model(tmp_path):
    """Same schedule, fresh optimiser: it ends about where the unbroken one does."""
    budget = Budget(frames=8 * 400)
    whole = engine(tmp_path / "whole", budget=budget)
    end = whole.run()
    half = engine(tmp_path / "half", budget=budget)
    for _ in range(200):
        half.samples += int(half.one_step(half.budget.progress(half.step, 0.0, half.samples))
                            .pop("samples"))  # fmt: skip
        half.step += 1
    half.save()
    toy = Toy()
    average = state.load_tensors(tmp_path / "half" / "model", "model")
    toy.model.load_state_dict(average)
    place = Place.read(tmp_path / "half" / "model" / PLACE)
    assert place.next_room == 17 and place.samples == 1600
    rest = engine(tmp_path / "rest", toy, budget=budget, go_on=place)
    assert rest.step == 200 and rest.rate(0.0) < 0.05  # warmed up anew
    again = rest.run()
    assert rest.step == 400
    start = Toy().evaluate()["error"]
    assert end["error"] < 0.02 * start
    assert abs(again["error"] - end["error"]) < 0.01 * start
    found = Place.read(tmp_path / "rest" / "model" / PLACE)
    assert found.pieces == [{"step": 200, "samples": 1600, "seconds": 0.0}]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path):
    toy = Toy()
    toy.broken_at = 25
    run_ = engine(tmp_path, toy, save_seconds=0.0)
    with pytest.raises(CooperError, match="loss of step 25 is nan"):
        run_.run()
    found = load_state(tmp_path, ("weights",))
    assert found is not None and found[0].step == 25
    assert torch.isfinite(found[1][0]["weight"]).all()


@pytest.mark.parametrize("where", ["weights", "pointer"])
def test_a_full_disk_keeps_the_state_before(tmp_path, monkeypatch, where):
    first = engine(tmp_path)
    first.step = 5
    first.save()

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    name = "save_file" if where == "weights" else "write_text"
    monkeypatch.setattr(state, name, full)
    first.step = 6
    with pytest.raises(CooperError, match="No space left.*goes on from there"):
        first.save()
    monkeypatch.undo()
    found = load_state(tmp_path, ("weights", "ema", "optimizer"))
    assert found is not None and found[0].step == 5 and "weight" in found[1][0]


def test_a_kill_between_two_renames_loses_nothing(tmp_path):
    target = tmp_path / "model"
    replace_folder(target, lambda into: (into / "a").write_text("old"))
    target.rename(tmp_path / "model.old")
    (tmp_path / "model.new").mkdir()
    state.recover_folder(target)
    assert (target / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "message"), [("{", "no training state"), ("[1]", "no training state")]
)
def test_foreign_state_is_refused(tmp_path, text, message):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(CooperError, match=message):
        engine(tmp_path)


def test_state_of_another_stage_or_model_is_refused(tmp_path):
    engine(tmp_path).save()
    with pytest.raises(CooperError, match="holds a run of stage toy, not of see"):
        Engine(Toy(), tmp_path, Budget(frames=8), name="see")
    other = Toy()
    other.model = torch.nn.Linear(4, 5)
    message = r"is of another model: (weight is \[4, 4\]|bias is \[4\]), expected"
    with pytest.raises(CooperError, match=message):
        Engine(other, tmp_path, Budget(frames=8), name="toy")


def test_go_on_needs_a_model_of_the_stage(tmp_path):
    o = run.TrainOptions("see", "d", "v", "o", go_on=str(tmp_path))
    with pytest.raises(CooperError, match="training.json is no training state"):
        run.place_of(o)
    (tmp_path / PLACE).write_text(json.dumps({"stage": "amg"}))
    with pytest.raises(CooperError, match="start from it with --start"):
        run.place_of(o)


def test_a_figure_is_divided_by_the_steps_that_had_it():
    means = Means()
    for step in range(4):
        means.add({"every": 1.0} | ({"second": 3.0} if step % 2 else {}))
    assert means.take() == {"every": 1.0, "second": 3.0}
    assert means.take() == {}


def test_what_ends_the_first_process_ends_the_others(tmp_path, monkeypatch):
    """A signal to the command alone left its processes training."""
    others = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]

    class Context:
        processes = others

        def join(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(run.mp, "spawn", lambda *_, **__: Context())
    with pytest.raises(KeyboardInterrupt):
        run._spawn(run.TrainOptions("see", "", "", str(tmp_path), processes=2), "")
    assert [process.wait(60) for process in others] == [-9, -9]
