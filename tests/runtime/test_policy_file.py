import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from safetensors.numpy import load, save

from dspctl import errors
from dspctl.runtime import Layer, Policy, load_policy, save_policy
from dspctl.runtime.policy.file import bytes_from_policy, policy_from_bytes
from tests.runtime.policies import (
    META_KEY,
    assert_same_policy,
    make_policy,
    policies,
    raw_file,
    rewritten,
)


@settings(max_examples=80, deadline=None)
@given(policies(guarded=True))
def test_save_then_load_is_the_identity(policy: Policy) -> None:
    data = bytes_from_policy(policy)
    loaded = policy_from_bytes(data, name="p")
    assert_same_policy(policy, loaded)
    assert bytes_from_policy(loaded) == data


def test_file_round_trip_and_overwriting(tmp_path: Path) -> None:
    policy, path = make_policy(), tmp_path / "new" / "p.safetensors"
    assert save_policy(policy, path) == path
    assert_same_policy(policy, load_policy(path))
    with pytest.raises(errors.OutputExists, match="--force"):
        save_policy(make_policy(1), path)
    assert_same_policy(policy, load_policy(path))
    save_policy(make_policy(1), path, force=True)
    assert_same_policy(make_policy(1), load_policy(path))


def test_views_and_wider_types_are_stored_as_their_values() -> None:
    policy = make_policy(sizes=(4, 4, 2), normalizer=False)
    first = policy.layers[0]
    assert first.bias is not None
    odd = Policy(
        policy.environment,
        policy.observation,
        (
            Layer(first.weight.T.astype(np.float64), first.bias[::-1], first.activation),
            policy.layers[1],
        ),
        policy.action,
        policy.inputs.astype(np.int32).astype(np.int64)[::1],
    )
    loaded = policy_from_bytes(bytes_from_policy(odd), name="p")
    np.testing.assert_array_equal(loaded.layers[0].weight, first.weight.T)
    np.testing.assert_array_equal(loaded.layers[0].bias, first.bias[::-1])


def test_a_policy_that_could_not_be_loaded_is_not_written(tmp_path: Path) -> None:
    policy, path = make_policy(), tmp_path / "p.safetensors"
    for lineage in ({"run": object()}, {"loss": float("nan")}, {"text": "x" * (1 << 21)}):
        with pytest.raises(errors.PolicyFormat):
            save_policy(policy.with_lineage(**lineage), path)
    large = Layer(np.full((3, 5), 1e39), None, "identity")
    with pytest.raises(errors.PolicyNotFinite, match="float32"):
        save_policy(
            Policy("E", make_policy().observation, (large,), policy.action, policy.inputs), path
        )
    assert list(tmp_path.iterdir()) == []


def test_missing_unreadable_and_foreign_paths(tmp_path: Path) -> None:
    with pytest.raises(errors.PolicyNotFound, match="dspctl compact"):
        load_policy(tmp_path / "none.safetensors")
    with pytest.raises(errors.PolicyNotFound):
        load_policy(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(errors.PolicyNotFound):
        load_policy(tmp_path / "loop")


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_policy(make_policy(), tmp_path / "p.safetensors")

    def deny(path: Path, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(errors.PolicyNotFound, match="Permission denied"):
        load_policy(path)


def test_every_truncation_is_named() -> None:
    data = bytes_from_policy(make_policy())
    for size in [*range(0, 64), *range(64, len(data), 97), len(data) - 1]:
        with pytest.raises((errors.PolicyTruncated, errors.PolicyFormat)):
            policy_from_bytes(data[:size], name="p")
    with pytest.raises(errors.PolicyTruncated):
        policy_from_bytes(data[: len(data) // 2 + 300], name="p")
    with pytest.raises(errors.PolicyTruncated):
        policy_from_bytes(data + b"\0", name="p")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xff" * 64, errors.PolicyFormat),
        (raw_file(b"{" * 200000), errors.PolicyFormat),
        (raw_file(b"[" * 200000), errors.PolicyFormat),
        (raw_file(b"[]"), errors.PolicyTruncated),
        (raw_file(b"not json"), errors.PolicyFormat),
        (raw_file(b"\xff\xfe{}"), errors.PolicyFormat),
        (raw_file(b"{}"), errors.PolicyFormat),
        (raw_file(b'{"__metadata__": null}'), errors.PolicyFormat),
        (raw_file(b'{"__metadata__": {"dspctl.policy": 3}}'), errors.PolicyTruncated),
        (raw_file(b'{"__metadata__": {"other": "x"}}'), errors.PolicyFormat),
        (
            raw_file(b'{"__metadata__": {"dspctl.policy": "{}", "more": "x"}}'),
            errors.PolicyFormat,
        ),
        (raw_file(b'{"__metadata__": {"dspctl.policy": "[1]"}}'), errors.PolicyFormat),
        (raw_file(b'{"__metadata__": {"dspctl.policy": "{"}}'), errors.PolicyFormat),
        (
            raw_file(b'{"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}', b"ab"),
            errors.PolicyShape,
        ),
        (
            raw_file(b'{"a": {"dtype": "XX", "shape": [1], "data_offsets": [0, 2]}}', b"ab"),
            errors.PolicyTruncated,
        ),
        (
            raw_file(
                b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
                b"x",
            ),
            errors.PolicyFormat,
        ),
        (save({"weight": np.zeros(3, np.float32)}), errors.PolicyFormat),
    ],
)
def test_files_that_are_no_policies(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^some/path: .+: |^some/path: .+\(.+\): "):
        policy_from_bytes(data, name="some/path")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as handle:
        handle.truncate(1 << 40)  # sparse: takes no space
    with pytest.raises(errors.PolicyFormat, match="larger than any policy"):
        load_policy(path)


DROP = object()


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        *[(field, DROP, errors.PolicyFormat) for field in ("schema", "environment", "action")],
        *[(field, DROP, errors.PolicyFormat) for field in ("activations", "lineage")],
        *[(field, DROP, errors.PolicyFormat) for field in ("observation_names", "normalizer_clip")],
        ("schema", 2, errors.PolicyFormat),
        ("schema", 1.0, errors.PolicyFormat),
        ("schema", True, errors.PolicyFormat),
        ("schema", "1", errors.PolicyFormat),
        ("environment", 7, errors.PolicyFormat),
        ("environment", None, errors.PolicyFormat),
        ("observation_names", "abc", errors.PolicyFormat),
        ("observation_names", [1, 2, 3, 4, 5], errors.PolicyFormat),
        ("observation_names", ["a"], errors.PolicyShape),
        ("activations", ["tanh", "sigmoid", "identity"], errors.UnknownActivation),
        ("activations", ["tanh", 3, "identity"], errors.PolicyFormat),
        ("activations", {"0": "tanh"}, errors.PolicyFormat),
        ("activations", [], errors.PolicyShape),
        ("activations", ["tanh", "identity"], errors.PolicyShape),
        ("activations", ["tanh", "tanh", "tanh"], errors.PolicyFormat),
        ("activations", ["tanh"] * 3 + ["identity"], errors.PolicyShape),
        ("normalizer_clip", "10", errors.PolicyFormat),
        ("normalizer_clip", True, errors.PolicyFormat),
        ("normalizer_clip", 0, errors.PolicyFormat),
        ("normalizer_clip", -1.5, errors.PolicyFormat),
        ("normalizer_clip", float("nan"), errors.PolicyFormat),
        ("normalizer_clip", float("inf"), errors.PolicyFormat),
        ("normalizer_clip", 10**400, errors.PolicyFormat),
        ("normalizer_clip", 1e39, errors.PolicyFormat),
        ("normalizer_clip", 1e-60, errors.PolicyFormat),
        ("action", "argmax", errors.PolicyFormat),
        ("action", {}, errors.PolicyFormat),
        ("action", {"kind": "softmax", "start": 0}, errors.PolicyFormat),
        ("action", {"kind": "clip", "start": 0}, errors.PolicyShape),
        ("action", {"kind": ["argmax"], "start": 0}, errors.PolicyFormat),
        ("action", {"kind": "argmax", "start": 0.0}, errors.PolicyFormat),
        ("action", {"kind": "argmax", "start": 2**70}, errors.PolicyFormat),
        ("action", {"kind": "argmax", "start": 0, "extra": 1}, errors.PolicyFormat),
        ("on_invalid", DROP, errors.PolicyFormat),
        ("on_invalid", "stop", errors.PolicyFormat),
        ("on_invalid", None, errors.PolicyFormat),
        ("lineage", [], errors.PolicyFormat),
        ("lineage", "dsp", errors.PolicyFormat),
        ("lineage", None, errors.PolicyFormat),
        ("unknown", 1, errors.PolicyFormat),
    ],
)
def test_wrong_metadata(field: str, value: Any, error: type[Exception]) -> None:
    def change(meta: dict[str, Any], tensors: dict[str, Any]) -> None:
        if value is DROP:
            del meta[field]
        else:
            meta[field] = value

    data = rewritten(bytes_from_policy(make_policy()), change)
    with pytest.raises(error, match="p: "):
        policy_from_bytes(data, name="p")


def test_duplicate_and_deep_metadata() -> None:
    data = bytes_from_policy(make_policy())
    size = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + size])["__metadata__"][META_KEY]
    for wrong in (
        text.replace('"schema": 1', '"schema": 1, "schema": 1'),
        text.replace('"lineage": {', '"lineage": {"deep": ' + "[" * 9000 + "]" * 9000 + ", "),
        text.replace('"seed": 0', '"seed": 1e999'),
    ):
        assert wrong != text
        with pytest.raises(errors.PolicyFormat):
            policy_from_bytes(save(dict(load(data)), metadata={META_KEY: wrong}), name="p")


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        *[
            (key, None, errors.PolicyShape)
            for key in (
                "observation.low",
                "observation.high",
                "inputs",
                "normalizer.scale",
                "action.low",
                "action.high",
                "guard.low",
                "guard.high",
                "guard.safe_action",
                "layers.0.weight",
                "layers.2.weight",
            )
        ],
        ("normalizer.mean", None, errors.PolicyFormat),
        ("surprise", np.zeros(1, np.float32), errors.PolicyShape),
        ("layers.3.weight", np.zeros((3, 3), np.float32), errors.PolicyShape),
        ("observation.low", np.zeros(0, np.float32), errors.PolicyShape),
        ("observation.low", np.zeros(5, np.float64), errors.PolicyShape),
        ("observation.low", np.zeros((5, 1), np.float32), errors.PolicyShape),
        ("observation.low", np.full(5, np.nan, np.float32), errors.PolicyFormat),
        ("observation.low", np.full(5, np.inf, np.float32), errors.PolicyFormat),
        ("observation.high", np.full(5, -np.inf, np.float32), errors.PolicyFormat),
        ("inputs", np.arange(5, dtype=np.int32), errors.PolicyShape),
        ("inputs", np.array([0, 1, 2, 3, 3]), errors.PolicyShape),
        ("inputs", np.array([4, 3, 2, 1, 0]), errors.PolicyShape),
        ("inputs", np.array([-1, 0, 1, 2, 3]), errors.PolicyShape),
        ("inputs", np.array([1, 2, 3, 4, 5]), errors.PolicyShape),
        ("inputs", np.arange(4), errors.PolicyShape),
        ("inputs", np.zeros(0, np.int64), errors.PolicyShape),
        ("inputs", np.arange(5).reshape(5, 1), errors.PolicyShape),
        ("normalizer.mean", np.zeros(4, np.float32), errors.PolicyShape),
        ("normalizer.mean", np.full(5, np.inf, np.float32), errors.PolicyNotFinite),
        ("normalizer.scale", np.full(5, np.nan, np.float32), errors.PolicyNotFinite),
        ("layers.0.weight", np.zeros((8, 5), np.float16), errors.PolicyShape),
        ("layers.0.weight", np.zeros((8, 5), np.int64), errors.PolicyShape),
        ("layers.0.weight", np.zeros((8, 6), np.float32), errors.PolicyShape),
        ("layers.0.weight", np.zeros((0, 5), np.float32), errors.PolicyShape),
        ("layers.0.weight", np.zeros(40, np.float32), errors.PolicyShape),
        ("layers.0.weight", np.full((8, 5), np.nan, np.float32), errors.PolicyNotFinite),
        ("layers.0.bias", np.full(8, -np.inf, np.float32), errors.PolicyNotFinite),
        ("layers.0.bias", np.zeros(7, np.float32), errors.PolicyShape),
        ("layers.0.mask", np.ones(7, np.uint8), errors.PolicyShape),
        ("layers.0.mask", np.ones(8, np.float32), errors.PolicyShape),
        ("layers.0.mask", np.full(8, 2, np.uint8), errors.PolicyFormat),
        ("layers.2.mask", np.ones(3, np.uint8), errors.PolicyFormat),
        ("layers.2.weight", np.zeros((4, 6), np.float32), errors.PolicyShape),
        ("guard.low", np.zeros(4, np.float32), errors.PolicyShape),
        ("guard.low", np.full(5, -1.0), errors.PolicyShape),
        ("guard.low", np.full(5, -np.inf, np.float32), errors.PolicyFormat),
        ("guard.high", np.full(5, np.nan, np.float32), errors.PolicyFormat),
        ("guard.safe_action", np.zeros(2, np.float32), errors.PolicyFormat),
        ("guard.safe_action", np.zeros(3), errors.PolicyShape),
        ("guard.safe_action", np.full(3, np.nan, np.float32), errors.PolicyFormat),
        ("guard.safe_action", np.full(3, 1e9, np.float32), errors.PolicyFormat),
        ("action.low", np.zeros(2, np.float32), errors.PolicyShape),
        ("action.low", np.full(3, np.nan, np.float32), errors.PolicyFormat),
        ("action.low", np.full(3, -np.inf, np.float32), errors.PolicyFormat),
        ("action.low", np.full(3, 1e9, np.float32), errors.PolicyFormat),
    ],
)
def test_wrong_tensors(key: str, value: Any, error: type[Exception]) -> None:
    def change(meta: dict[str, Any], tensors: dict[str, Any]) -> None:
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value

    data = rewritten(bytes_from_policy(make_policy(rule="tanh_unscale", masks=True)), change)
    with pytest.raises(error, match=r"^p: .+: .+"):
        policy_from_bytes(data, name="p")


def test_any_flipped_byte_loads_or_is_named() -> None:
    """Weights carry no checksum, so a flip may load; it must never end in a foreign error."""
    data = bytes_from_policy(make_policy(rule="clip", masks=True))
    rng, named = np.random.default_rng(0), 0
    for position in [*range(0, 40), *rng.integers(0, len(data), 400)]:
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(rng.integers(8))
        try:
            policy_from_bytes(bytes(flipped), name="p")
        except errors.DspctlError:
            named += 1
    assert named > 100
