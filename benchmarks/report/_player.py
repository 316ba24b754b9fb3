"""Plays one episode of each policy on the same seed and writes them side by side as a picture.

Run as ``python -m dspctl.benchmarks.report._player REQUEST``, a process of its own: drawing needs
an OpenGL library that may end the process it is loaded into. Prints one JSON object.

The request: ``environment``, ``policies`` (files), ``seed``, ``seconds``, ``width``, ``out`` (an
animated WebP) and ``still`` (a WebP of its middle).
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

_RATE_HZ = 15.0
"""Pictures per second, about: every so many steps, so that time runs evenly."""
_MOST_STEPS = 2_000
_QUALITY = 60
_GAP = 8


def play(request: dict[str, Any]) -> dict[str, Any]:
    """Play, draw and write; returns what was played."""
    from PIL import Image, ImageEnhance

    from dspctl.runtime import load_policy
    from dspctl.trainer.environments import make

    step_hz, every = _RATE_HZ, 1
    episodes = []
    for path in request["policies"]:
        env = make(request["environment"], render_mode="rgb_array")
        step_hz = float(env.metadata.get("render_fps") or 30)
        every = max(1, round(step_hz / _RATE_HZ))
        most = max(2, int(request["seconds"] * step_hz / every))
        try:
            episodes.append(
                _episode(
                    env, load_policy(Path(path)), request["seed"], request["width"], every, most
                )
            )
        finally:
            env.close()
    # One clock for both: the longer episode decides how many steps lie between two pictures.
    stride = max(one["stride"] for one in episodes)
    frames = [one["frames"][:: stride // one["stride"]] for one in episodes]
    count = max(map(len, frames))
    height = max(picture.height for one in frames for picture in one)
    width = request["width"]
    joined = []
    for index in range(count):
        sheet = Image.new("RGBA", (len(frames) * (width + _GAP) - _GAP, height), (0, 0, 0, 0))
        for place, one in enumerate(frames):
            picture = one[min(index, len(one) - 1)]
            if index >= len(one):  # its episode is over
                picture = ImageEnhance.Color(ImageEnhance.Brightness(picture).enhance(0.6)).enhance(
                    0.4
                )
            sheet.paste(picture, (place * (width + _GAP), 0))
        joined.append(sheet)
    pause_ms = round(1000 * every / step_hz)
    first, *others = joined
    first.save(
        request["out"],
        "WEBP",
        save_all=True,
        append_images=others,
        duration=[pause_ms] * (count - 1) + [1500],
        loop=0,
        quality=_QUALITY,
        method=4,
    )
    joined[count // 2].save(request["still"], "WEBP", quality=70)
    return {
        "width": first.width,
        "height": height,
        "frames": count,
        "speed": stride / every,
        "returns": [one["return"] for one in episodes],
        "steps": [one["steps"] for one in episodes],
    }


def _episode(env: Any, policy: Any, seed: int, width: int, every: int, most: int) -> dict[str, Any]:
    """One episode: pictures every `stride` steps, a power of two times *every*, at most *most*."""
    import numpy as np
    from PIL import Image

    observation, _ = env.reset(seed=seed)
    frames: list[Any] = []
    stride, steps, total, over = every, 0, 0.0, False
    while not over and steps < _MOST_STEPS:
        if steps % stride == 0:
            picture = Image.fromarray(np.asarray(env.render(), np.uint8))
            height = math.ceil(picture.height * width / picture.width)
            frames.append(picture.resize((width, height), Image.Resampling.LANCZOS))
            if len(frames) > most:
                frames, stride = frames[::2], 2 * stride
        action = policy.act(np.asarray(observation, np.float32)[None])[0]
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        steps += 1
        over = terminated or truncated
    return {"frames": frames, "stride": stride, "steps": steps, "return": total}


if __name__ == "__main__":
    print(json.dumps(play(json.loads(sys.argv[1]))))
