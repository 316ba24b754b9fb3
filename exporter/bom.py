"""``bom.cdx.json``: what a bundle consists of and what made it, as CycloneDX 1.6 (ECMA-424).

The same policy, options and packages give the same bytes: the serial number is made from the
policy's digest, and there is no time in it.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from dspctl import __version__
from dspctl.exporter.draft import Draft
from dspctl.exporter.native.targets import NATIVE_TARGETS
from dspctl.runtime.bundle import NATIVE, POLICY
from dspctl.runtime.bundle.manifest import canonical_json

BOM = "bom.cdx.json"

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "dspctl bill of materials")
_LICENCES = {
    "dspctl": "MIT",
    "envpool": "Apache-2.0",
    "gymnasium": "MIT",
    "jinja2": "BSD-3-Clause",
    "musl": "MIT",
    "numpy": "BSD-3-Clause",
    "onnx": "Apache-2.0",
    "onnxruntime": "MIT",
    "glibc": "LGPL-2.1-or-later",
    "safetensors": "Apache-2.0",
    "torch": "BSD-3-Clause",
    "ziglang": "MIT",
}
"""As these packages state them. Of others nothing is said."""

_SHIPPED = re.compile(
    rf"policy\.[a-z0-9.]*onnx|tensorrt-rtx/policy\.plan|{NATIVE}/[^/]+/(lib.*|policy)"
)
"""The files that a vehicle runs or links, besides the policy file."""

_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PACKAGE_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,62}")
_LONGEST = 200


def bytes_from_bom(
    draft: Draft, *, version: str, targets: tuple[str, ...], tools: Mapping[str, str], libc: str
) -> bytes:
    """The file.

    Args:
        draft: the bundle, all but this file and what lists the files.
        version: of the policy.
        targets: what it was exported for.
        tools: versions of the packages that took part in the export.
        libc: the C library that this machine's compiler links, and its version: ``glibc 2.36``.
    """
    digest = hashlib.sha256(draft.files[POLICY]).hexdigest()
    shipped = list(_shipped(draft))
    libraries = _c_libraries(draft, libc)
    components = [
        *shipped,
        *libraries.values(),
        *_tools("training", _trained_with(draft.policy.lineage)),
        *_tools("export", {"dspctl": __version__, **tools}),
        *_compilers(draft),
    ]
    named = f"{draft.name} {version} {' '.join(targets)} {digest}"
    return canonical_json(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, named)}",
            "version": 1,
            "metadata": {
                "component": _model(draft, version, targets, digest),
                "tools": {
                    "components": [
                        {"type": "application", "name": "dspctl", "version": __version__}
                    ]
                },
            },
            "components": components,
            "dependencies": _dependencies(shipped, libraries),
        }
    )


def _model(draft: Draft, version: str, targets: tuple[str, ...], digest: str) -> dict[str, Any]:
    """The policy: what it is, and where it came from. Its licence is its maker's to state."""
    policy = draft.policy
    widths = [policy.inputs.size, *(layer.width for layer in policy.layers)]
    action = (
        f"integer, one of {widths[-1]}"
        if policy.action.discrete
        else f"float32 [{policy.action.low.size}]"
    )
    lineage = {
        name: value
        for name in ("method", "seed", "steps")
        if isinstance(value := policy.lineage.get(name), str | int | float)
    }
    told = {"environment": policy.environment, **lineage, "targets": " ".join(targets)}
    return {
        "type": "machine-learning-model",
        "bom-ref": "policy",
        "name": draft.name,
        "version": version,
        "description": f"a policy that acts in {policy.environment[:_LONGEST]}",
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "reinforcement-learning"},
                "task": "control",
                "architectureFamily": "multilayer perceptron",
                "modelArchitecture": "-".join(map(str, widths))
                + f", {policy.layers[0].activation if len(widths) > 2 else 'identity'}",
                "inputs": [{"format": f"float32 [{policy.observation.size}]"}],
                "outputs": [{"format": action}],
            }
        },
        "properties": [
            {"name": f"dspctl:{name}", "value": str(value)[:_LONGEST]}
            for name, value in told.items()
        ],
    }


def _shipped(draft: Draft) -> Iterator[dict[str, Any]]:
    for path in sorted(draft.files):
        if _SHIPPED.fullmatch(path):
            content = hashlib.sha256(draft.files[path]).hexdigest()
            # Generated code is dspctl's work; a graph or a plan is the policy in another form.
            licence = "MIT" if path.startswith(f"{NATIVE}/") else None
            yield {
                "type": "file",
                "bom-ref": f"file:{path}",
                "name": path,
                "hashes": [{"alg": "SHA-256", "content": content}],
                "scope": "required",
                **_licensed(licence),
            }


def _c_libraries(draft: Draft, libc: str) -> dict[str, dict[str, Any]]:
    """By the path of each command `policy`: the C library that is linked into it."""
    found = {}
    for target, build in draft.builds.items():
        if NATIVE_TARGETS[target].hosted:
            # zig brings musl with it, and a version that nobody states.
            text = "musl" if build.compiler.startswith("zig") else libc
            name, _, version = text.partition(" ")
            found[f"file:{NATIVE}/{target}/policy"] = {
                "type": "library",
                "bom-ref": f"libc:{target}",
                "name": name or "C library",
                **({"version": version} if version else {}),
                "description": f"linked statically into {NATIVE}/{target}/policy",
                "scope": "required",
                **_licensed(_LICENCES.get(name)),
            }
    return found


def _trained_with(lineage: Mapping[str, Any]) -> dict[str, str]:
    """Versions that the lineage tells; a policy file may hold anything under these names."""
    packages = lineage.get("packages")
    told = {
        **(packages if isinstance(packages, dict) else {}),
        "dspctl": lineage.get("dspctl"),
    }
    return {
        name: version
        for name, version in told.items()
        if isinstance(version, str)
        and _PACKAGE.fullmatch(name)
        and _PACKAGE_VERSION.fullmatch(version)
    }


def _tools(role: str, versions: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, version in sorted(versions.items()):
        yield {
            "type": "application" if name == "dspctl" else "library",
            "bom-ref": f"{role}:{name}",
            "name": name,
            "version": version,
            **_located(name, version),
            "scope": "excluded",  # it took part, and is not in the bundle
            "properties": [{"name": "dspctl:role", "value": role}],
            **_licensed(_LICENCES.get(name.lower())),
        }


def _compilers(draft: Draft) -> Iterator[dict[str, Any]]:
    for text in sorted({build.compiler for build in draft.builds.values()}):
        name, _, version = text.partition(": ")
        yield {
            "type": "application",
            "bom-ref": f"compiler:{name}",
            "name": name,
            **({"version": version} if version else {}),
            "scope": "excluded",
            "properties": [{"name": "dspctl:role", "value": "export"}],
        }


def _dependencies(
    shipped: list[dict[str, Any]], libraries: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    refs = [each["bom-ref"] for each in shipped]
    return [
        {"ref": "policy", "dependsOn": refs},
        *({"ref": ref, "dependsOn": [each["bom-ref"]]} for ref, each in libraries.items()),
    ]


def _located(name: str, version: str) -> dict[str, str]:
    """A package URL, by which scanners look up what is known of a package."""
    if name == "dspctl":  # it is not on the index that the URL stands for
        return {}
    return {"purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version.replace('+', '%2B')}"}


def _licensed(licence: str | None) -> dict[str, Any]:
    return {} if licence is None else {"licenses": [{"license": {"id": licence}}]}
