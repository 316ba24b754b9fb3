"""The pruned policy next to the unpruned one in their environment, as a short moving picture."""

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspctl.benchmarks._process import command, environment
from dspctl.errors import MissingExtra
from dspctl.runtime import Policy, save_policy

SEED = 2_000_000_000
"""The first of the evaluation seeds, which training never uses."""
SECONDS = 8.0
WIDTH = 300
LARGEST_BYTES = 1_500_000

_TIMEOUT_S = 180
_RENDERERS = ("egl", "osmesa")
"""What MuJoCo draws with where there is no screen: the GPU's library, then Mesa's software."""


@dataclass(frozen=True)
class Animation:
    """A moving picture.

    Attributes:
        labels: of the policies, from left to right.
        picture: data URI of an animated WebP.
        still: data URI of its middle, for paper and for readers who want no motion.
        width: in pixels.
        height: in pixels.
        speed: how many times faster than the environment's own clock.
        seed: of the episodes.
        returns: of these episodes.
        steps: of these episodes.
    """

    labels: tuple[str, ...]
    picture: str
    still: str
    width: int
    height: int
    speed: float
    seed: int
    returns: tuple[float, ...]
    steps: tuple[int, ...]


def animate(name: str, policies: Mapping[str, Policy]) -> Animation | str:
    """Play one episode each, on the same seed.

    Args:
        name: gymnasium id.
        policies: label → policy, from left to right.

    Returns:
        The animation, or a sentence that says why there is none.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("pillow", "report", "drawing the report's animation") from error
    with tempfile.TemporaryDirectory(prefix="dspctl-") as folder:
        home = Path(folder)
        files = [
            str(save_policy(policy, home / f"{index}.safetensors"))
            for index, policy in enumerate(policies.values())
        ]
        out, still = home / "moving.webp", home / "still.webp"
        request = {
            "environment": name,
            "policies": files,
            "seed": SEED,
            "seconds": SECONDS,
            "width": WIDTH,
            "out": str(out),
            "still": str(still),
        }
        reason = ""
        for renderer in _renderers():
            done = _player(request, renderer)
            if isinstance(done, str):
                reason = reason or done
                continue
            if out.stat().st_size > LARGEST_BYTES:
                return (
                    f"the animation has {out.stat().st_size / 1e6:.1f} MB, too much for a page "
                    f"that is sent around: this environment's pictures do not compress"
                )
            return Animation(
                labels=tuple(policies),
                picture=_uri(out),
                still=_uri(still),
                width=int(done["width"]),
                height=int(done["height"]),
                speed=float(done["speed"]),
                seed=SEED,
                returns=tuple(done["returns"]),
                steps=tuple(done["steps"]),
            )
        return f"{name} could not be drawn on this machine ({reason})"


def _renderers() -> tuple[str, ...]:
    """The user's own choice of MuJoCo's renderer, else each that needs no screen."""
    chosen = os.environ.get("MUJOCO_GL")
    return (chosen,) if chosen else _RENDERERS


def _player(request: Mapping[str, object], renderer: str) -> dict[str, Any] | str:
    changes = {"MUJOCO_GL": renderer, "SDL_VIDEODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}
    if renderer in _RENDERERS:
        changes["PYOPENGL_PLATFORM"] = renderer
    try:
        done = subprocess.run(
            command("dspctl.benchmarks.report._player", json.dumps(request)),
            env=environment(**changes),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"drawing took longer than {_TIMEOUT_S} s"
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"the player ended with {done.returncode}"])[
            -1
        ]
        return last[:200]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return dict(found)


def _uri(path: Path) -> str:
    return "data:image/webp;base64," + base64.b64encode(path.read_bytes()).decode()
