"""The manifest: what is accepted, against the reader and against the published schema."""

import json
from collections.abc import Callable
from importlib.resources import files as resources
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from dspctl import errors
from dspctl.runtime.bundle import manifest_of
from dspctl.runtime.bundle.manifest import (
    POLICY,
    Build,
    Manifest,
    bytes_from_manifest,
    canonical_json,
    created_from_lineage,
    is_version,
    manifest_from_bytes,
    version_key,
)
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.policy.guarded import with_guard
from tests.runtime.policies import make_policy

SCHEMA = json.loads(resources("dspctl.runtime.bundle").joinpath("bundle.schema.json").read_text())
BUILD = Build("x86_64", ("avx2",), "gcc: 12.2", ("-O3",))


def manifest(policy: Policy | None = None) -> Manifest:
    policy = make_policy(rule="clip_unscale") if policy is None else policy
    files = {POLICY: bytes_from_policy(policy), "native/x86-64-v3/policy": b"\x7fELF"}
    return manifest_of(
        policy,
        files,
        name="test_v1",
        version="1.10",
        targets=("cpu", "x86-64-v3"),
        rate_hz=50.0,
        builds={"x86-64-v3": BUILD},
        dspctl="0.1.0",
        tools={"numpy": "2.0"},
        executables=frozenset({"native/x86-64-v3/policy"}),
    )


def value_of(made: Manifest) -> Any:
    return json.loads(bytes_from_manifest(made))


def sealed(value: dict[str, Any]) -> bytes:
    """The file of *value*, with a digest that fits: what somebody with intent would write."""
    import hashlib

    value = {key: entry for key, entry in value.items() if key != "manifest_sha256"}
    digest = hashlib.sha256(canonical_json(value)).hexdigest()
    return canonical_json({**value, "manifest_sha256": digest})


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("rule", ["argmax", "clip", "clip_unscale", "tanh_unscale"])
@pytest.mark.parametrize("mode", ["flag", "clamp"])
def test_what_is_written_conforms_and_is_read_again(rule: Any, mode: Any) -> None:
    policy = with_guard(make_policy(rule=rule, bounded=True, unread=1), mode)
    made = manifest(policy)
    Draft202012Validator(SCHEMA).validate(value_of(made))
    assert manifest_from_bytes(bytes_from_manifest(made)) == made


def test_what_it_says_of_the_policy() -> None:
    policy = with_guard(make_policy(rule="clip_unscale", bounded=True, unread=2), "hold")
    value = value_of(manifest(policy))
    observation = value["observation"]
    assert [feature["name"] for feature in observation["features"]] == list(
        policy.observation.names
    )
    lows = [feature["low"] for feature in observation["features"]]
    np.testing.assert_array_equal(np.array(lows, np.float32), policy.observation.low)
    assert observation["inputs"] == policy.inputs.tolist()
    assert (observation["on_invalid"], observation["rate_hz"]) == ("hold", 50.0)
    highs = [component["high"] for component in value["action"]["components"]]
    np.testing.assert_array_equal(np.array(highs, np.float32), policy.action.high)
    assert value["action"]["dtype"] == "float32"
    assert value["files"]["native/x86-64-v3/policy"]["executable"] is True
    assert value["files"][POLICY]["executable"] is False
    assert value["builds"]["x86-64-v3"]["requires"] == ["avx2"]


def test_no_bound_is_null_and_a_discrete_action_counts() -> None:
    value = value_of(manifest(make_policy(rule="argmax", start=-3)))
    assert {feature["low"] for feature in value["observation"]["features"]} == {None}
    (component,) = value["action"]["components"]
    assert (component["low"], component["high"]) == (-3, -1)
    assert value["action"]["dtype"] == "int32"


def test_time_comes_from_the_policy_alone() -> None:
    assert manifest(make_policy()).created is None
    stamped = make_policy().with_lineage(created="2025-01-31T12:00:00Z")
    assert manifest(stamped).created == "2025-01-31T12:00:00Z"
    assert created_from_lineage({"created": "yesterday"}) is None
    assert created_from_lineage({"created": 5}) is None
    assert bytes_from_manifest(manifest(stamped)) == bytes_from_manifest(manifest(stamped))


def test_versions_are_ordered_as_numbers() -> None:
    versions = ["1.10", "1.9", "2", "1.9.1", "0.1"]
    assert sorted(versions, key=version_key) == ["0.1", "1.9", "1.9.1", "1.10", "2"]
    assert is_version("1.2.3.4")
    for wrong in ("", "1.", "v1", "1.2.3.4.5", "1 ", "-1", "1e3", "９"):
        assert not is_version(wrong)


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    lambda value: value.pop("targets"),
    lambda value: value.update(schema="2"),
    lambda value: value.update(extra=1),
    lambda value: value.update(name="Test-v1"),
    lambda value: value.update(name=""),
    lambda value: value.update(version=1),
    lambda value: value.update(version="one"),
    lambda value: value.update(created="now"),
    lambda value: value.update(targets=[]),
    lambda value: value.update(targets=["cpu", "cpu"]),
    lambda value: value.update(targets=["../x"]),
    lambda value: value.update(files=[]),
    lambda value: value.update(lineage=None),
    lambda value: value.update(tools={"numpy": 2}),
    lambda value: value["builds"]["x86-64-v3"].update(flags="-O3"),
    lambda value: value["builds"]["x86-64-v3"].pop("compiler"),
    lambda value: value["builds"].update({"../x": value["builds"]["x86-64-v3"]}),
    lambda value: value["observation"].update(dtype="float64"),
    lambda value: value["observation"].update(on_invalid="stop"),
    lambda value: value["observation"].update(rate_hz=0),
    lambda value: value["observation"].update(inputs=[0.5]),
    lambda value: value["observation"]["features"][0].update(unit=3),
    lambda value: value["observation"]["features"][0].update(name="x" * 201),
    lambda value: value["observation"]["features"][0].update(extra=1),
    lambda value: value["action"].update(dtype="int32"),
    lambda value: value["action"].update(safe_action=["0"]),
    lambda value: value["files"].pop(POLICY),
    lambda value: value["files"][POLICY].update(sha256="A" * 64),
    lambda value: value["files"][POLICY].update(size_bytes=-1),
    lambda value: value["files"][POLICY].update(size_bytes=1 << 31),
    lambda value: value["files"][POLICY].update(executable=1),
    lambda value: value["files"][POLICY].update(mode=0o777),
    lambda value: value["files"].update({"a" * 201: value["files"][POLICY]}),
    lambda value: value["files"].update({f"f{i}": value["files"][POLICY] for i in range(1000)}),
]
OWN_RULES = (24,)
"""What only the reader refuses: that an action's type follows from its rule."""


@pytest.mark.parametrize("index", range(len(CHANGES)))
def test_what_is_malformed_is_refused_by_reader_and_schema(index: int) -> None:
    value = value_of(manifest())
    CHANGES[index](value)
    with pytest.raises((ValueError, errors.BundleFormat)):
        manifest_from_bytes(sealed(value))
    assert Draft202012Validator(SCHEMA).is_valid(value) == (index in OWN_RULES)


@pytest.mark.parametrize(
    "name",
    [
        *("../outside", "/etc/passwd", "a/../b", "", ".", "a//b", "a\\b", "~x", ".ssh", "a\n"),
        *("manifest.json", "signatures.json"),
    ],
)
def test_unsafe_names_are_refused_by_reader_and_schema(name: str) -> None:
    value = value_of(manifest())
    value["files"][name] = value["files"][POLICY]
    with pytest.raises(ValueError, match="unsafe file name"):
        manifest_from_bytes(sealed(value))
    if name != "a\n":  # "$" of a schema's pattern may allow a final newline
        assert not Draft202012Validator(SCHEMA).is_valid(value)


@pytest.mark.parametrize("schema", [1, 3, 99])
def test_other_schemas_say_what_to_do(schema: int) -> None:
    with pytest.raises(errors.BundleFormat, match=f"schema {schema}.* export again"):
        manifest_from_bytes(sealed({**value_of(manifest()), "schema": schema}))


def test_one_exact_form() -> None:
    data = bytes_from_manifest(manifest())
    for wrong in (data + b"\n", data.replace(b": ", b":"), data.replace(b"1.10", b"1.11")):
        with pytest.raises(errors.BundleTampered):
            manifest_from_bytes(wrong)


def test_nothing_unreadable_is_written() -> None:
    from dataclasses import replace

    for wrong in (
        replace(manifest(), name="Not-C"),
        replace(manifest(), version="new"),
        replace(manifest(), targets=()),
    ):
        with pytest.raises(ValueError, match=r"manifest\.json"):
            bytes_from_manifest(wrong)
