"""The page's HTML: templates with everything escaped, and a policy that forbids the network.

Labels, ids and file names come from strangers' files. In HTML they are escaped by Jinja2's
autoescape, in the block of JSON by `json_block`. The one thing that is put in as it is, is SVG that
vl-convert wrote from data, in which it escapes text itself. Style and script are allowed by their
hash alone, so even a mistake here would run nothing.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dspctl.benchmarks.report import words
from dspctl.benchmarks.report.chart import COLORS
from dspctl.benchmarks.report.view import PageView
from dspctl.errors import MissingExtra
from dspctl.runtime.untrusted import visible

TEMPLATES = Path(__file__).parent / "templates"


def render(page: PageView) -> str:
    """The whole page.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingExtra("jinja2", "report", "writing the report") from error
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        exact=json.dumps, count=words.count_of, return_of=words.return_of, swatches=swatches
    )
    style, script = (
        (TEMPLATES / name).read_text(encoding="utf-8").strip() for name in ("page.css", "page.js")
    )
    return environment.get_template("page.html.j2").render(
        page=page,
        style=style,
        script=script,
        policy=content_policy(style, script),
        data=json_block(_moments(page)),
    )


def content_policy(style: str, script: str) -> str:
    """Nothing is fetched, nothing is sent; pictures are part of the page."""
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src 'sha256-{_hash(style)}'",
            f"script-src 'sha256-{_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def json_block(value: Any) -> str:
    """JSON that may stand in a ``<script>``: nothing in it can end the block or a line of it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def swatches(labels: Sequence[str]) -> list[tuple[str, int]]:
    """Labels with the number of their colour, as the charts give it; placeholders left out."""
    if len(labels) == 1:
        return [(labels[0], 1)]
    return [(label, index % len(COLORS)) for index, label in enumerate(labels) if label]


def _moments(page: PageView) -> dict[str, Any]:
    """What the drawings of networks need to move, by the name of the figure."""
    return {
        one.name: [
            {
                "steps": frame.steps,
                "units": list(frame.units),
                "weights": frame.weights,
                "share": round(frame.share, 4),
            }
            for frame in one.drawing.frames
        ]
        for chapter in page.chapters
        if chapter.training is not None
        for one in chapter.training.networks
    }


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
