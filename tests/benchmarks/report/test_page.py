import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from dspctl.benchmarks.report.build import write_report
from tests.benchmarks.report import results
from tests.benchmarks.report.browser import Browser

LARGEST_BYTES = 5_000_000
UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
UNITS |= {"nJ": 1e-9, "µJ": 1e-6, "mJ": 1e-3, "J": 1, "W": 1}
# A line separator, too, ends a string in a script; files with one in a name are refused.
EVIL = '</script><script>hacked=1</script><img src=x onerror="hacked=1">"\'&'
TITLE = f"a\u2028{EVIL}"


@pytest.fixture
def opened(chromium: Browser, page: Path) -> Browser:
    chromium.complaints.clear()
    chromium.requests.clear()
    chromium.emulate(1280)
    chromium.open(page)
    return chromium


def pointed_at(document: Any, pointer: str) -> float:
    """What a figure's pointer means, by the rules in the documentation."""
    value = document
    parts = pointer.split("/")[1:]
    for place, part in enumerate(parts):
        if part == "*":
            return float(median(sum(one[k] for k in parts[place + 1].split("+")) for one in value))
        value = value[int(part)] if isinstance(value, list) else value[part]
    return float(sum(value) if isinstance(value, list) else value)


def read(text: str) -> float:
    """A number as the page writes it."""
    match = re.fullmatch(r"(?:≤ )?([+−]?[\d,.]+) ?(\S*)", text)
    assert match is not None, text
    value = float(match[1].replace(",", "").replace("−", "-"))
    return value / 100 if match[2] == "%" else value * UNITS.get(match[2], 1)


def test_it_opens_without_a_complaint_and_asks_nothing_of_the_network(
    opened: Browser, page: Path
) -> None:
    opened.value("new Promise(done => setTimeout(done, 200))")
    assert opened.complaints == []
    outside = {url for url in opened.requests if not url.startswith("data:")}
    assert outside == {page.resolve().as_uri()}


def test_every_chart_is_there_with_marks(opened: Browser) -> None:
    found = opened.value(
        """Object.fromEntries([...document.querySelectorAll("[data-chart]")].map(one =>
        [one.dataset.chart, [...one.querySelectorAll("svg")].map(svg =>
        svg.querySelectorAll("path[d], circle, line, rect, image").length)]))"""
    )
    backends = len(results.MEDIANS_NS)
    expected = {"r0-medians", "r0-returns", "r0-pss", "r0-peak", "r0-sizes", "r0-energy"}
    expected |= {f"r0-{mode}-{index}" for mode in ("single", "paced") for index in range(backends)}
    expected |= {"c0-learning", "c0-p0-units", "c0-p0-sparsity", "c0-p0-threshold"}
    expected |= {"c0-net0", "c0-maps", "c0-animation"}
    assert found.keys() == expected
    marks = {name: counts for name, counts in found.items() if name != "c0-animation"}
    assert all(counts and min(counts) >= 2 for counts in marks.values()), marks
    # A line a subject in each distribution: two thick paths.
    lines = opened.value(
        """[...document.querySelectorAll("[data-chart^=r0-single] svg")].map(svg =>
        [...svg.querySelectorAll(".mark-line path")].filter(one =>
        one.getAttribute("stroke").startsWith("var(--s")).length)"""
    )
    assert lines == [2] * backends


def test_figures_equal_the_json_to_the_last_digit(opened: Browser, bench: Path) -> None:
    document = json.loads(bench.read_text())
    found = opened.value(
        """[...document.querySelectorAll("[data-figure]")].map(one =>
        [one.dataset.result, one.dataset.figure, one.dataset.value, one.textContent])"""
    )
    for number, pointer, value, text in found:
        assert number == "0"
        assert json.loads(value) == pointed_at(document, pointer), pointer
        assert read(text) == pytest.approx(json.loads(value), rel=0.006, abs=0.06), pointer


def test_no_figure_is_left_out(opened: Browser, bench: Path) -> None:
    document = json.loads(bench.read_text())
    shown = set(
        opened.value(
            """[...document.querySelectorAll("[data-figure]")].map(one => one.dataset.figure)"""
        )
    )
    names = ("min", "mean", "p90", "p99", "p99_9", "max")
    wanted = set()
    for index, _ in enumerate(document["latency"]):
        wanted |= {f"/latency/{index}/{name}_ns" for name in names}
        wanted.add(f"/latency/{index}/p50_ns/estimate")
    for index, _ in enumerate(document["paced"]):
        for part in ("latency_ns", "wakeup_ns", "inference_ns"):
            wanted |= {f"/paced/{index}/{part}/{name}" for name in (*names, "p50")}
        wanted |= {f"/paced/{index}/deadline_misses", f"/paced/{index}/steps"}
    for index, _ in enumerate(document["memory"]):
        wanted |= {f"/memory/{index}/probes/*/{name}" for name in ("pss_bytes", "peak_rss_bytes")}
    for index, one in enumerate(document["code"]):
        wanted |= {f"/code/{index}/{name}" for name, v in one.items() if type(v) is int}
    for index, _ in enumerate(document["subjects"]):
        wanted |= {f"/subjects/{index}/{name}" for name in ("units", "weights", "flops")}
    wanted |= {f"/ratios/{index}/value/estimate" for index in range(len(document["ratios"]))}
    wanted |= {f"/returns/{index}/mean/estimate" for index in range(2)}
    wanted |= {f"/energy/{index}/joules/estimate" for index in range(2)}
    wanted.add("/differences/0/difference/estimate")
    assert wanted <= shown, sorted(wanted - shown)


def test_the_verdict_is_the_first_thing_said(opened: Browser) -> None:
    first = opened.value('document.querySelector("main p").textContent')
    assert first == results.result().verdict


def test_sources_are_named_with_their_commands_and_hashes(opened: Browser, bench: Path) -> None:
    text = opened.value('document.querySelector("main").textContent')
    document = json.loads(bench.read_text())
    for subject in document["subjects"]:
        assert subject["sha256"] in text
    for sentence in (document["notes"][0], document["skipped"][0]["reason"]):
        assert sentence in text
    assert "dspctl bench 'DSP 93%.bundle' --against unpruned.bundle" in text
    assert "dspctl train CartPole-v1 --method dsp" in text


def test_it_is_one_small_file_that_names_no_place_outside(page: Path) -> None:
    html = page.read_text()
    assert page.stat().st_size < LARGEST_BYTES
    assert list(page.parent.iterdir()) == [page]
    places = re.findall(r"""(?:src|href|action|url)\s*[=(]\s*["']?([^"')\s>]{0,20})""", html)
    assert places
    assert all(place.startswith(("data:", "#", "${", "c0-", "r0-")) for place in places), places
    assert "https:" not in html
    assert set(re.findall(r"http:[^\"'\s]*", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_names_from_strangers_are_text_and_nothing_else(
    chromium: Browser, runs: dict[str, Path], tmp_path: Path
) -> None:
    one = results.result(("plain", EVIL), environment=f"Evil-{EVIL}", verdict=f"{EVIL} is faster")
    run = shutil.copytree(runs["dsp"], tmp_path / "<img src=x onerror='hacked=1'>")
    page = write_report(
        [results.write(one, tmp_path / "bench.json"), run],
        tmp_path / "page.html",
        title=TITLE,
        animate=False,
    ).path
    chromium.complaints.clear()
    chromium.open(page)
    assert chromium.value("typeof hacked") == "undefined"
    assert chromium.value("document.title") == TITLE.replace("\u2028", "\ufffd")
    assert chromium.value('document.querySelector(".legend li:last-child").textContent') == EVIL
    assert chromium.value("document.images.length") == 0
    assert chromium.value("document.scripts.length") == 1 + page.read_text().count('id="data"')
    assert chromium.complaints == []


def test_scripts_that_were_not_meant_do_not_run(opened: Browser) -> None:
    opened.value(
        """(() => { const one = document.createElement("script"); one.textContent = "hacked = 1";
        document.body.append(one); })()"""
    )
    assert opened.value("typeof hacked") == "undefined"
    assert any("Content Security Policy" in text for text in opened.complaints)


@pytest.mark.parametrize("width", [360, 400, 1280])
def test_nothing_is_wider_than_the_screen(chromium: Browser, page: Path, width: int) -> None:
    chromium.emulate(width)
    chromium.open(page)
    assert chromium.value("document.documentElement.scrollWidth") <= width
    shown = chromium.value(
        """[...document.querySelectorAll(".wide .plot")].filter(one => one.offsetWidth).length"""
    )
    assert shown == 3  # of every wide chart one form, not both


def test_light_and_dark_follow_the_reader_and_the_button(chromium: Browser, page: Path) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    colors = {}
    for scheme in ("light", "dark"):
        chromium.emulate(1280, scheme=scheme)
        chromium.open(page)
        colors[scheme] = chromium.value(background)
    assert colors["light"] != colors["dark"]
    chromium.value('document.getElementById("theme").click()')
    assert chromium.value(background) == colors["light"]


def test_the_network_shrinks_as_the_metrics_say(opened: Browser, runs: dict[str, Path]) -> None:
    rows = [json.loads(line) for line in (runs["dsp"] / "metrics.jsonl").read_text().splitlines()]
    left = """(() => { const figure = document.querySelector("[data-network]");
        const slider = figure.querySelector("input");
        slider.value = PLACE; slider.dispatchEvent(new Event("input"));
        return [...figure.querySelectorAll("g.units")].map(one =>
            one.querySelectorAll("circle:not(.gone)").length); })()"""
    assert opened.value(left.replace("PLACE", "0")) == rows[0]["units"]
    assert opened.value(left.replace("PLACE", "slider.max")) == rows[-1]["units"]
    said = opened.value('document.querySelector("[data-network] output").textContent')
    assert said.startswith(f"{rows[-1]['steps']:,} steps: {'-'.join(map(str, rows[-1]['units']))}")
    widths = [4, *rows[-1]["units"], 2]
    assert said.endswith(f"{sum(a * b for a, b in pairwise(widths))} weights")


def test_a_reader_who_wants_no_motion_sees_a_still(chromium: Browser, page: Path) -> None:
    shown = """[...document.querySelectorAll("[data-animation] img")].filter(one =>
        one.offsetWidth && one.naturalWidth).map(one => one.className)"""
    chromium.emulate(1280)
    chromium.open(page)
    assert chromium.value(shown) == ["motion"]
    chromium.value('document.querySelector(".pause").click()')
    assert chromium.value(shown) == ["still"]
    chromium.emulate(1280, motion="reduce")
    chromium.open(page)
    assert chromium.value(shown) == ["still"]
    chromium.value('document.querySelector(".pause").click()')
    assert chromium.value(shown) == ["motion"]


def test_paper_gets_everything_and_no_buttons(opened: Browser, tmp_path: Path) -> None:
    opened.print(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    opened.ask("Emulation.setEmulatedMedia", media="print")
    try:
        buttons = opened.value(
            '[...document.querySelectorAll("button, input")].filter(one => one.offsetWidth).length'
        )
        folded = opened.value(
            """[...document.querySelectorAll("[data-figure]")].filter(one =>
            !one.offsetWidth).length"""
        )
    finally:
        opened.ask("Emulation.setEmulatedMedia", media="")
    assert (buttons, folded) == (0, 0)


def test_pictures_and_charts_have_words(opened: Browser) -> None:
    silent = opened.value(
        """[...document.querySelectorAll('img, [role="img"], input, [role="region"]')].filter(one =>
        !(one.getAttribute("alt") || one.getAttribute("aria-label"))).length"""
    )
    assert silent == 0
    levels = opened.value(
        """[...document.querySelectorAll("h1,h2,h3,h4,h5")].map(one => Number(one.tagName[1]))"""
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    ids = opened.value('[...document.querySelectorAll("[id]")].map(one => one.id)')
    assert len(ids) == len(set(ids))
