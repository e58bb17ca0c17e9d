"""Reports in a real browser: no error, no request, answers to the pointer, legible in both themes, as wide as a phone.

Only here a test may be skipped: where there is no Chromium. `.ci/run` makes sure that there is one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait
from support.command_line import invoke

PATIENCE = 60
"""For a page to be drawn, or to answer [s]."""
CONTRAST = 4.5
"""Least ratio of the luminances of text and of what is behind it (WCAG 2.2, success criterion 1.4.3)."""
BINARIES = ("chromium", "chromium-browser", "google-chrome", "chrome")

Browser = webdriver.Chrome


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser without a window."""
    binary, driver = next(filter(None, map(shutil.which, BINARIES)), None), shutil.which("chromedriver")
    if binary is None or driver is None:
        lacking = "there is no Chromium, or no driver of it; apt-get install chromium chromium-driver"
        # No package of Python brings a browser, and the tests must run for everybody who types the README's command.
        # `.ci/run` installs one and says so: there, a page that nobody looked at is a failure.
        assert "TNCOMPILE_TEST_BROWSER" not in os.environ, lacking
        pytest.skip(lacking)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    yield running
    running.quit()


@pytest.fixture(scope="module")
def pages(finished_run: Path, boards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports: of a whole run, of one that was not simulated on four small chips, and of both, with hostile names."""
    folder = tmp_path_factory.mktemp("pages")
    evil = folder / "<img src=x onerror=alert(1)>"
    evil.symlink_to(finished_run)
    found = {"one": [finished_run], "boards": [boards], "both": [evil, boards]}
    for name, runs in found.items():
        outcome = invoke("report", *runs, "--out", folder / f"{name}.html", "--quiet")
        assert outcome.code == 0, outcome.err
    return {name: folder / f"{name}.html" for name in found}


def shown(browser: Browser, page: Path, *, dark: bool = False, width: int = 1280) -> None:
    """Loads a page and waits until all of it is drawn."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # of the page before
    browser.get(page.as_uri())
    until(browser, "return 'drawn' in document.documentElement.dataset")


def until(browser: Browser, script: str) -> Any:
    """Returns what a script gives as soon as that is something."""
    return WebDriverWait(browser, PATIENCE, 0.1).until(lambda driver: driver.execute_script(script))


def unfold(browser: Browser) -> None:
    """Opens the parts that are closed, and waits until they are drawn."""
    browser.execute_script("for (const part of document.querySelectorAll('main > details')) part.open = true;")
    until(browser, "return [...document.querySelectorAll('.chart')].every((box) => box.querySelector('svg, canvas'))")


def assert_clean(browser: Browser) -> None:
    """The browser had nothing to say, and asked nobody for anything but the page."""
    said = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert not said, said
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert urls and all(url.split(":")[0] in ("file", "data", "blob") for url in urls), urls
    assert sum(url.startswith("file") for url in urls) == 1, urls


@pytest.mark.parametrize("name", ["one", "boards", "both"])
@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 390)], ids=["desktop, light", "phone, dark"])
def test_a_page_is_drawn_without_error_or_request(
    name: str, dark: bool, width: int, browser: Browser, pages: dict[str, Path]
) -> None:
    shown(browser, pages[name], dark=dark, width=width)
    unfold(browser)
    assert browser.execute_script("return document.querySelectorAll('img[src=x], section script[src]').length") == 0
    assert_clean(browser)


@pytest.mark.parametrize("name", ["one", "both"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_screen(name: str, width: int, browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages[name], width=width)
    unfold(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    wide = """
        const boxes = [...document.querySelectorAll('main *')].filter((box) => !box.closest('.scroll, pre, svg'));
        return boxes.filter((box) => box.getBoundingClientRect().right > innerWidth + 1).map((box) => box.outerHTML);
    """
    assert browser.execute_script(wide) == []


TEXTS = """
    // Every text on the page with its contrast to what is behind it: the first thing under it that is opaque.
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (colour) => {
      const [r, g, b] = rgba(colour).map((value) => value / 255)
        .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paint = (box) => {
      const style = getComputedStyle(box);
      return box instanceof SVGElement && box.tagName !== "svg" ? style.fill : style.backgroundColor;
    };
    const opaque = (colour) => colour !== "none" && rgba(colour)[3] === 255;
    const found = [];
    for (const box of document.querySelectorAll("body *")) {
      const own = [...box.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
      if (!own || box.closest("script, style, noscript, select, title, desc") || !box.checkVisibility()) continue;
      box.scrollIntoView({ block: "center", inline: "center" });
      const at = [...box.getClientRects()].find(({ width }) => width);
      if (!at) continue;
      const under = document.elementsFromPoint(at.x + at.width / 2, at.y + at.height / 2);
      const below = under.slice(under.indexOf(box) + (box instanceof SVGElement ? 1 : 0));
      const behind = below.find((each) => opaque(paint(each)));
      const style = getComputedStyle(box);
      const ink = box instanceof SVGElement ? style.fill : style.color;
      const pair = [light(ink), light(behind ? paint(behind) : "#ffffff")].sort((a, b) => b - a);
      found.push([box.textContent.trim().slice(0, 60), (pair[0] + 0.05) / (pair[1] + 0.05), style.fontSize]);
    }
    return found;
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["one", "both"])
def test_all_text_is_legible(name: str, dark: bool, browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages[name], dark=dark)
    unfold(browser)
    found = browser.execute_script(TEXTS)
    texts = {text for text, *_ in found}
    assert {"Summary", "accuracy", "epoch", "what the chip says", "synaptic events"} <= texts, (
        "SVG's texts are among them"
    )
    assert len(found) > 150
    assert [(text, ratio) for text, ratio, _ in found if ratio < CONTRAST] == []
    assert [(text, size) for text, _, size in found if float(size.removesuffix("px")) < 10] == []


def point(browser: Browser, x: float, y: float) -> None:
    """Moves the pointer to a place of the window."""
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})


PLACE = """
    const box = document.getElementById(arguments[0]);
    box.scrollIntoView({ block: "center" });
    return new Promise((settled) => setTimeout(() => {
      const drawn = box.querySelector("canvas, svg").getBoundingClientRect();
      settled([drawn.left, drawn.top, drawn.width, drawn.height]);
    }, 300));
"""
"""Where a chart is in the window."""


def swept(browser: Browser, chart: str, wanted: Callable[[str], bool]) -> str:
    """Returns what the tooltip says at the first place of a chart where that is wanted; fails if there is none."""
    left, top, width, height = browser.execute_script(PLACE, chart)
    point(browser, left, top)
    for row in range(3, 18):
        for column in range(3, 18):
            point(browser, left + width * column / 20, top + height * row / 20)
            text = browser.execute_script(
                "return document.querySelector('#vg-tooltip-element.visible')?.innerText ?? ''"
            )
            if wanted(text):
                return text
    raise AssertionError(f"{chart}: no place answers to the pointer")


def test_maps_answer_to_the_pointer(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["one"])
    text = swept(browser, "run-placement", lambda text: "conv" in text)
    for line in ("x", "y", "core", "layer", "group", "axons used", "firing rate [% of neurons a tick]"):
        assert line in text
    assert "packets a tick" in swept(browser, "run-links", bool)
    assert "neuron" in swept(browser, "run-spikes", bool)
    assert "images" in swept(browser, "run-confusion", bool)
    assert "training" in swept(browser, "run-accuracy", bool)
    assert_clean(browser)


PICTURE = "return document.querySelector(`#${arguments[0]} canvas`).toDataURL()"
CHOOSE = """
    const select = document.querySelector(`#${arguments[0]}-controls select`);
    select.selectedIndex = arguments[1];
    select.dispatchEvent(new Event("input"));
    select.dispatchEvent(new Event("change"));
    return select.options.length;
"""


@pytest.mark.parametrize(("chart", "choice"), [("run-placement", 1), ("run-spikes", 2)])
def test_choices_change_the_picture_and_outlive_the_theme(
    chart: str, choice: int, browser: Browser, pages: dict[str, Path]
) -> None:
    shown(browser, pages["one"])
    before = browser.execute_script(PICTURE, chart)
    assert browser.execute_script(CHOOSE, chart, choice) > choice
    WebDriverWait(browser, PATIENCE, 0.1).until(lambda driver: driver.execute_script(PICTURE, chart) != before)
    chosen = browser.execute_script(PICTURE, chart)
    browser.execute_script("document.getElementById('theme').click()")
    WebDriverWait(browser, PATIENCE, 0.1).until(lambda driver: driver.execute_script(PICTURE, chart) != chosen)
    until(browser, f"return document.querySelector('#{chart}-controls select')?.selectedIndex === {choice}")
    assert len(browser.find_elements("css selector", f"#{chart}-controls select")) == 1
    assert_clean(browser)


def test_maps_can_be_zoomed_and_pages_still_scroll(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["one"])
    left, top, width, height = browser.execute_script(PLACE, "run-links")
    middle = {"x": left + width / 2, "y": top + height / 2}
    point(browser, middle["x"], middle["y"])
    before = browser.execute_script(PICTURE, "run-links")
    wheel = {"type": "mouseWheel", "deltaX": 0, "deltaY": -240, **middle}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", wheel | {"modifiers": 2})
    WebDriverWait(browser, PATIENCE, 0.1).until(lambda driver: driver.execute_script(PICTURE, "run-links") != before)
    zoomed, scrolled = browser.execute_script(PICTURE, "run-links"), browser.execute_script("return scrollY")
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", wheel)
    until(browser, f"return scrollY < {scrolled}")
    assert browser.execute_script(PICTURE, "run-links") == zoomed


def test_printing_is_on_light_paper(browser: Browser, pages: dict[str, Path]) -> None:
    shown(browser, pages["one"], dark=True)
    browser.execute_script("""
        addEventListener("beforeprint", () => setTimeout(() => {}, 0));
        addEventListener("afterprint", () => { window.printed = window.papers; });
        matchMedia("print").addEventListener("change", ({ matches }) => {
            const charts = [...document.querySelectorAll(".chart svg.marks")];
          if (matches) window.papers = charts.map((chart) => chart.style.backgroundColor);
        });
    """)
    browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    papers = until(browser, "return window.printed")
    assert papers and set(papers) == {"rgb(255, 255, 255)"}
