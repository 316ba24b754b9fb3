import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspctl.benchmarks.report import words
from dspctl.benchmarks.report.animation import animate
from dspctl.benchmarks.report.heatmaps import weight_maps
from dspctl.benchmarks.report.network import shrinking
from dspctl.benchmarks.report.page import content_policy, json_block
from dspctl.benchmarks.report.samples import distribution, paced_samples
from dspctl.benchmarks.stats import percentile
from dspctl.runtime import load_policy
from tests.benchmarks.networks import masked, metrics, network


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.time_of(508.7), "509 ns"),
        (words.time_of(22), "22 ns"),
        (words.time_of(4180), "4.18 µs"),
        (words.time_of(10_000_000), "10.0 ms"),
        (words.size_of(824), "824 B"),
        (words.size_of(72_720), "72.7 kB"),
        (words.energy_of(2.1e-6), "2.10 µJ"),
        (words.times_of(16.46), "16.5×"),
        (words.times_of(0.814), "0.814×"),
        (words.return_of(-12.34), "−12.3"),
        (words.change_of(3.4), "+3.4"),
        (words.count_of(17_920), "17,920"),
        (words.share_of(0.9297), "93.0%"),
        (words.range_of("4.1 µs", "4.3 µs"), "4.1 to 4.3 µs"),
        (words.range_of("900 ns", "1.1 µs"), "900 ns to 1.1 µs"),
        (words.duration_of(73.2), "1 min 13 s"),
        (words.units_of(()), "no hidden layer"),
    ],
)
def test_numbers_read_as_they_should(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize("count", [1, 2, 7, 1000, 123_457])
def test_a_distribution_holds_nearest_rank_percentiles(count: int) -> None:
    samples = np.random.default_rng(count).lognormal(8, 1, count).astype(np.int64)
    found = distribution("numpy", "a", samples)
    assert found.calls == count
    assert found.share.size <= 230
    assert (np.diff(found.latency_ns) >= 0).all()
    assert (np.diff(found.share) > 0).all()
    ordered = np.sort(samples)
    below = np.searchsorted(ordered, found.latency_ns, side="left") / count
    up_to = np.searchsorted(ordered, found.latency_ns, side="right") / count
    assert (below < found.share + 1e-12).all()
    assert (up_to >= found.share - 1e-12).all()
    for share in (0.5, 0.9, 0.99, 0.999):
        if count > 1 / (1 - share):
            place = np.searchsorted(found.share, share - 1e-9)
            assert found.latency_ns[place] == percentile(samples, share)


def test_paced_latencies_are_the_sum_of_wake_up_and_call(tmp_path: Path) -> None:
    wakeup, inference = np.arange(5), 10 * np.arange(5)
    arrays: dict[str, Any] = {"wakeup:a": wakeup, "inference:a": inference, "wakeup:b": wakeup}
    arrays |= {"wakeup:c": wakeup, "inference:c": inference[:3]}
    np.savez(tmp_path / "r-c-paced.npz", **arrays)
    found = paced_samples(tmp_path / "r.json", "c")
    assert {name: one.tolist() for name, one in found.items()} == {"a": [0, 11, 22, 33, 44]}
    assert paced_samples(tmp_path / "r.json", "numpy") == {}


def test_samples_that_are_damaged_or_a_bomb_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "r-c-paced.npz"
    path.write_bytes(b"no archive")
    assert paced_samples(tmp_path / "r.json", "c") == {}
    arrays: dict[str, Any] = {"wakeup:a": np.array([{}]), "inference:a": np.zeros(1, np.int64)}
    np.savez(path, **arrays)
    assert paced_samples(tmp_path / "r.json", "c") == {}
    zeros = np.zeros(1 << 22, np.int64)
    bomb: dict[str, Any] = {"wakeup:a": zeros, "inference:a": zeros}
    np.savez_compressed(path, **bomb)
    assert path.stat().st_size < 1 << 20
    assert paced_samples(tmp_path / "r.json", "c") == {}


def test_json_in_the_page_cannot_end_its_block() -> None:
    value = {"a": "</script><!--&\u2028\u2029"}
    text = json_block(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_the_policy_of_the_page_allows_no_place_and_no_inline_code() -> None:
    policy = content_policy("a{}", "b()")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_map_shows_every_weight_of_a_kept_unit_and_none_of_a_masked_one() -> None:
    image = pytest.importorskip("PIL.Image")
    whole = network((4, 20, 20, 2))
    part = masked(whole, [[3, 7], [0, 5, 9]])
    maps = weight_maps({"whole": whole, "part": part})
    assert maps is not None
    assert maps.shapes == ("4-20-20-2", "4-2-3-2")

    def ink(picture: str) -> np.ndarray:
        data = base64.b64decode(picture.removeprefix("data:image/png;base64,"))
        return np.asarray(image.open(io.BytesIO(data)).convert("LA"))[..., 1]

    first, second = (ink(layer.maps[1].picture) for layer in maps.layers)
    assert (first.shape, second.shape) == ((4, 20), (20, 20))
    assert set(np.flatnonzero(first.any(axis=0))) <= {3, 7}
    assert set(np.flatnonzero(second.any(axis=1))) <= {0, 5, 9}
    weights = np.abs(whole.layers[1].weight)
    shown = ink(maps.layers[1].maps[0].picture).astype(float)
    assert np.corrcoef(weights.ravel(), shown.ravel())[0, 1] > 0.99


def test_a_large_map_is_pooled_and_says_so() -> None:
    maps = weight_maps({"wide": network((4, 500, 500, 2))})
    assert maps is not None
    assert maps.pooled == 3
    assert weight_maps({"flat": network((4, 2))}) is None


def test_the_drawing_keeps_exactly_the_units_that_remain() -> None:
    rows = metrics()
    policy = masked(network((4, 100, 100, 2)), [list(range(50)), list(range(90, 100))])
    drawing = shrinking(policy, rows)
    assert drawing is not None
    assert [len(column.dots) for column in drawing.columns] == [4, 100, 100, 2]
    stays = [
        [index for index, dot in enumerate(column.dots) if dot.order < 0]
        for column in drawing.columns[1:3]
    ]
    assert stays == [list(range(50)), list(range(90, 100))]
    orders = sorted(dot.order for dot in drawing.columns[2].dots if dot.order >= 0)
    assert orders == list(range(90))
    assert drawing.frames[0].units == (100, 100)
    assert drawing.frames[-1].units == tuple(rows[-1]["units"])
    assert drawing.frames[0].weights == 4 * 100 + 100 * 100 + 100 * 2
    assert len(drawing.edges) == min(900, 4 * 50 + 50 * 10 + 10 * 2)
    assert shrinking(network((4, 100, 100, 2)), rows) is None
    assert shrinking(policy, []) is None


def test_the_moving_picture_shows_both_episodes(policies: dict[str, Path]) -> None:
    image = pytest.importorskip("PIL.Image")
    named = {name: load_policy(path) for name, path in policies.items()}
    found = animate("CartPole-v1", named)
    assert not isinstance(found, str), found
    data = base64.b64decode(found.picture.removeprefix("data:image/webp;base64,"))
    picture = image.open(io.BytesIO(data))
    assert picture.is_animated
    assert picture.size == (found.width, found.height) == (608, 200)
    assert len(data) < 1_500_000
    # CartPole gives 1 for every step, so return and length must agree.
    assert found.returns == tuple(map(float, found.steps))


def test_an_environment_that_cannot_be_drawn_gives_a_sentence(policies: dict[str, Path]) -> None:
    policy = load_policy(policies["dsp"])
    found = animate("NoSuchThing-v0", {"one": policy})
    assert isinstance(found, str)
    assert "NoSuchThing-v0 could not be drawn on this machine" in found
