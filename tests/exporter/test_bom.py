"""The bill of materials: against the published schema, and against what the bundle holds."""

import hashlib
import json
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import dspctl.exporter
from dspctl import __version__
from dspctl.exporter import export
from dspctl.exporter.bom import BOM, bytes_from_bom
from dspctl.exporter.draft import Draft
from dspctl.runtime.bundle import ONNX, POLICY, open_bundle
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.policy import Policy
from dspctl.runtime.policy.file import bytes_from_policy
from dspctl.runtime.reference.golden import golden_from_policy
from tests.exporter.conftest import Exported
from tests.runtime.policies import make_policy, observations_of


def bom_of(policy: Policy, builds: dict[str, Build] | None = None, **more: Any) -> bytes:
    golden = golden_from_policy(policy, observations_of(policy, 2))
    draft = Draft(policy, "pole", False, None, golden, golden)
    draft.add({POLICY: bytes_from_policy(policy), ONNX: b"graph", "README.md": b"#"})
    draft.builds.update(builds or {})
    for target in draft.builds:
        draft.add({f"native/{target}/{file}": b"x" for file in ("policy", "libpole.so", "pole.c")})
    given: dict[str, Any] = {
        "version": "1.2",
        "targets": ("cpu",),
        "tools": {"numpy": "2.4.6", "onnx": "1.23.2"},
        "libc": "glibc 2.36",
    }
    return bytes_from_bom(draft, **{**given, **more})


def check(data: bytes) -> Any:
    """The parsed file, after the official schema has passed it, unknown fields refused."""
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())
    assert problem is None, problem
    value = json.loads(data)
    refs = [value["metadata"]["component"]["bom-ref"]]
    refs += [each["bom-ref"] for each in value["components"]]
    assert len(refs) == len(set(refs))
    for entry in value["dependencies"]:  # which a JSON schema cannot say
        assert {entry["ref"], *entry.get("dependsOn", [])} <= set(refs)
    return value


def named(value: Any, ref: str) -> Any:
    (found,) = [each for each in value["components"] if each["bom-ref"] == ref]
    return found


def test_of_an_exported_bundle(discrete: Exported) -> None:
    opened = open_bundle(discrete.path)
    value = check(opened.data[BOM])
    model = value["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == (
        "machine-learning-model",
        "test_v1",
        "1.4",
    )
    assert model["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(opened.data[POLICY]).hexdigest()}
    ]
    told = {each["name"]: each["value"] for each in model["properties"]}
    assert told["dspctl:environment"] == "Test-v1"
    assert (told["dspctl:method"], told["dspctl:seed"]) == ("dsp", "0")
    files = {each["name"]: each for each in value["components"] if each["type"] == "file"}
    (target,) = opened.manifest.builds
    assert {ONNX, f"native/{target}/policy", f"native/{target}/libtest_v1.so"} <= set(files)
    for path, component in files.items():
        assert component["hashes"][0]["content"] == opened.manifest.files[path].sha256
        licences = [each["license"]["id"] for each in component.get("licenses", [])]
        assert licences == (["MIT"] if path.startswith("native/") else [])
    for package, version in opened.manifest.tools.items():
        assert named(value, f"export:{package}")["version"] == version
    assert named(value, "export:dspctl")["version"] == __version__
    build = opened.manifest.builds[target]
    name = build.compiler.split(":")[0]
    assert build.compiler == f"{name}: {named(value, f'compiler:{name}')['version']}"


def test_of_several_targets(continuous: Exported) -> None:
    value = check(open_bundle(continuous.path).data[BOM])
    assert named(value, "libc:jetson-orin")["name"] == "musl"
    assert named(value, "libc:jetson-orin")["licenses"][0]["license"]["id"] == "MIT"
    refs = {each["bom-ref"] for each in value["components"]}
    assert "libc:cortex-m4" not in refs  # nothing is linked there
    assert "compiler:zig" in refs


GENERATED = {
    *("SHA256SUMS", "bom.cdx.json", "build.json", "parity.json"),
    *("policy.onnx", "policy.fp16.onnx", "policy.safetensors", "golden.safetensors"),
    "recipe.json",
    *("golden.c", "golden.h", "policy_bindings.h"),
    *("NAME-config.cmake", "NAME-config-version.cmake"),
    *("NAME.c", "NAME.h", "libNAME.a", "libNAME.so", "policy"),
}
"""The policy's other forms, and what tells of them."""
REFUSED = re.compile(rb"(?<![A-Z])A?GPL-[0-9]|GNU (Affero )?General Public License|GPLv[0-9]")
"""Short names and texts of the GPL and the AGPL; not of the LGPL."""


def test_no_file_of_a_bundle_is_under_the_gpl(discrete: Exported, continuous: Exported) -> None:
    """What is shipped has a licence that is none of them, and no file says otherwise."""
    for exported in (discrete, continuous):
        data = open_bundle(exported.path).data
        shipped = [each for each in json.loads(data[BOM])["components"] if "scope" in each]
        licences = {
            licence["license"]["id"]
            for each in shipped
            if each["scope"] == "required"
            for licence in each.get("licenses", [])
        }
        # The LGPL is that of glibc, in the command; its objects' sources are in the bundle too.
        assert licences <= {"MIT", "LGPL-2.1-or-later"}
        assert [path for path, content in data.items() if REFUSED.search(content)] == []


def test_every_file_of_a_bundle_is_ours(discrete: Exported, continuous: Exported) -> None:
    """Generated, rendered from a template or copied from a folder of this package: no other."""
    package = Path(dspctl.exporter.__file__).parent
    copied = {
        path.read_bytes()
        for folder in ("command", "board")
        for path in (package / "native" / folder).iterdir()
        if path.is_file()
    }
    templates = [*package.rglob("*.jinja"), package / "tensorrt" / "build_engine.sh"]
    rendered = {path.name.removesuffix(".jinja") for path in templates}
    for exported in (discrete, continuous):
        name, strangers = exported.result.manifest.name, []
        for path, content in open_bundle(exported.path).data.items():
            file = path.rpartition("/")[2]
            known = file in rendered | GENERATED or file.replace(name, "NAME") in GENERATED
            if not known and content not in copied:
                strangers.append(path)
        assert strangers == []


def test_what_is_linked_statically_is_told() -> None:
    value = check(bom_of(make_policy(), {"x86-64-v3": Build("x86_64", (), "gcc: 12.2", ())}))
    library = named(value, "libc:x86-64-v3")
    assert (library["name"], library["version"]) == ("glibc", "2.36")
    assert library["licenses"] == [{"license": {"id": "LGPL-2.1-or-later"}}]
    assert {"ref": "file:native/x86-64-v3/policy", "dependsOn": ["libc:x86-64-v3"]} in value[
        "dependencies"
    ]
    unknown = {"x86-64-v3": Build("x86_64", (), "cc", ())}
    assert named(check(bom_of(make_policy(), unknown, libc="")), "libc:x86-64-v3")["name"]


def test_what_trained_is_told_where_the_policy_knows() -> None:
    policy = make_policy().with_lineage(
        dspctl="0.0.9", packages={"torch": "2.13.0+cpu", "gymnasium": "1.4.0"}
    )
    value = check(bom_of(policy))
    torch = named(value, "training:torch")
    assert (torch["version"], torch["purl"]) == ("2.13.0+cpu", "pkg:pypi/torch@2.13.0%2Bcpu")
    assert torch["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert named(value, "training:gymnasium")["version"] == "1.4.0"
    assert named(value, "training:dspctl")["version"] == "0.0.9"
    assert named(value, "export:dspctl")["version"] == __version__
    silent = check(bom_of(make_policy()))
    assert not any(each["bom-ref"].startswith("training:") for each in silent["components"])


@pytest.mark.parametrize(
    "lineage",
    [
        {"packages": 5, "dspctl": None, "method": None},
        {"packages": {"a b": "1", "../x": "1", "ok": "1 2", "n": 3, "": "1"}},
        {"packages": {"x" * 99: "1"}, "method": {"a": 1}, "seed": [1], "steps": "x" * 9999},
    ],
)
def test_a_strange_lineage(lineage: dict[str, Any]) -> None:
    policy = replace(make_policy(), environment='E"\\u0000é' * 20, lineage=lineage)
    value = check(bom_of(policy))
    assert not any(each["bom-ref"].startswith("training:") for each in value["components"])
    told = value["metadata"]["component"]["properties"]
    assert max(len(each["value"]) for each in told) <= 200


@pytest.mark.parametrize("rule", ["argmax", "clip", "tanh_unscale"])
@pytest.mark.parametrize("sizes", [(5, 3), (5, 8, 6, 3)])
def test_every_kind_of_policy(rule: Any, sizes: tuple[int, ...]) -> None:
    model = check(bom_of(make_policy(rule=rule, sizes=sizes)))["metadata"]["component"]
    told = model["modelCard"]["modelParameters"]
    assert told["modelArchitecture"].startswith("-".join(map(str, sizes)))
    assert told["inputs"] == [{"format": "float32 [5]"}]
    output = "integer, one of 3" if rule == "argmax" else "float32 [3]"
    assert told["outputs"] == [{"format": output}]


def test_the_same_bytes_and_a_serial_number_of_the_policy(tmp_path: Path) -> None:
    assert bom_of(make_policy(1)) == bom_of(make_policy(1))
    serials = [
        check(bom_of(make_policy(seed), version=version))["serialNumber"]
        for seed, version in ((1, "1"), (2, "1"), (1, "2"))
    ]
    assert len(set(serials)) == 3
    assert [uuid.UUID(serial.removeprefix("urn:uuid:")).version for serial in serials] == [5] * 3
    for name in ("a", "b"):
        export(make_policy(), "onnx", tmp_path / name)
    assert (tmp_path / "a" / BOM).read_bytes() == (tmp_path / "b" / BOM).read_bytes()
    assert b"timestamp" not in (tmp_path / "a" / BOM).read_bytes()


def test_the_check_sees_what_is_wrong() -> None:
    value = json.loads(bom_of(make_policy()))
    value["metadata"]["component"]["type"] = "policy"
    with pytest.raises(AssertionError):
        check(json.dumps(value).encode())
