"""The web page in headless Chromium, on the real node and the real server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import WAIT_S, Bench, Process, room_image, room_info

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
WAIT_MS = WAIT_S * 1000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def view(ros: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(
        "cooper_ros.ros.view.node",
        *("--ros-args", "-p", "port:=0"),
        log=tmp_path_factory.mktemp("view") / "view.log",
    )
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="module")
def address(view: Process, bench: Bench) -> str:
    return bench.wait(lambda: re.search(r"http://\S+", view.log), view)[0]


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """An open page; fails when its scripts complained."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(WAIT_MS)
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(address)
    yield opened
    opened.close()
    assert said == []


def test_the_page_without_a_node_says_what_is_missing(page: Any) -> None:
    """Runs first: the node is only started for the next test."""
    page.wait_for_selector("#status[data-level='2']")
    page.wait_for_selector("#status:has-text('there is no node /cooper')")
    page.fill("#question", "how far is the mug ?")
    page.click("#send")
    page.wait_for_selector("#answers li.refused:has-text('there is no node /cooper')")


def test_the_page_shows_what_the_node_sees(
    page: Any, node: Process, bench: Bench, tmp_path: Path
) -> None:
    bench.show(room_image(), room_info())
    for panel in ("camera", "depth", "segmentation"):
        page.wait_for_selector(f"#{panel}[data-pictures]")
        assert "320×240" in page.inner_text(f"#{panel} .facts")
        assert not page.is_visible(f"#{panel} .empty")
    for end in ("near", "middle", "far"):
        assert re.fullmatch(r"\d+\.\d+ m", page.inner_text(f"#depth .{end}"))
    # The middle of the dark block that the camera shows, read back from the canvas.
    shade = page.locator("#camera canvas").first.evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(130, 120, 1, 1).data]"
    )
    assert all(abs(got - want) < 12 for got, want in zip(shade[:3], (40, 40, 60), strict=True))
    page.wait_for_selector("#status[data-level='0']")
    page.wait_for_selector("#numbers:has-text('cooper-nano')")
    assert "cooper-nano" in page.inner_text("#numbers")
    page.screenshot(path=tmp_path / "page.png")


def test_a_typed_question_is_answered(page: Any, node: Process, bench: Bench) -> None:
    bench.show(room_image(), room_info())
    page.wait_for_selector("#status[data-level='0']")
    page.fill("#question", "how many chairs are there within 30 ft")  # the maps alone: always OK
    page.press("#question", "Enter")
    page.wait_for_selector("#answers li[data-status='OK']")
    assert re.fullmatch(r"\d+", page.inner_text("#answers li .a"))
    facts = page.inner_text("#answers li .f")
    assert "understood: how many chairs are within 9.14 m ?" in facts
    assert "measured on the maps alone" in facts
    page.fill("#question", "how far is the <b>zeppelin</b> ?")
    page.press("#question", "Enter")
    page.wait_for_selector("#answers li[data-status='BAD_QUESTION'].refused")
    first = page.locator("#answers li").first
    assert "<b>zeppelin</b>" in first.inner_text() and first.locator("b").count() == 0


def test_an_example_is_asked_by_a_click_on_a_phone(
    page: Any, node: Process, bench: Bench
) -> None:
    """The question line is on the first screen, nothing is wider than it, and examples are there
    before anything was seen."""
    bench.show(room_image(), room_info())
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector("#camera[data-pictures]")
    for selector in ("#camera", "#question", "#send", "#examples button"):
        box = page.locator(selector).first.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 844, selector
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, selector
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.wait_for_selector("#status[data-level='0']")
    page.click("#examples button:has-text('free space')")
    page.wait_for_selector("#answers li:is([data-status=OK], [data-status=DISAGREES])")
    assert "free space" in page.inner_text("#answers li .q")
    assert page.locator("#answers li .a").first.bounding_box()["y"] < 844
    assert len(set(page.locator("#examples button").all_inner_texts())) >= 3
    page.set_viewport_size({"width": 844, "height": 390})
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#question").bounding_box()
    assert box["y"] + box["height"] <= 390, "on its side too"


def test_a_click_measures_a_distance(page: Any, node: Process, bench: Bench) -> None:
    bench.show(room_image(), room_info())
    page.wait_for_selector("#depth[data-pictures]")
    frame = page.locator("#depth .marks").bounding_box()
    page.click(
        "#depth .marks", position={"x": frame["width"] * 0.5, "y": frame["height"] * 0.75}
    )
    hint = page.locator("#hint:has-text('scale: model prior')")
    hint.wait_for()
    u, v, metres = re.match(r"\((\d+), (\d+)\): .* at (\d+\.\d+) m", hint.inner_text()).groups()
    assert abs(int(u) - 160) <= 1 and abs(int(v) - 180) <= 1 and float(metres) > 0.0


def test_topics_are_only_read_while_a_page_is_open(
    browser: Any, address: str, node: Process, bench: Bench
) -> None:
    bench.wait(lambda: bench.node.count_subscribers("/cooper/overlay") == 0, node)
    opened = browser.new_page()
    opened.goto(address)
    bench.wait(lambda: bench.node.count_subscribers("/cooper/overlay") == 1, node)
    opened.close()
    bench.wait(lambda: bench.node.count_subscribers("/cooper/overlay") == 0, node)
