"""The files around the policy, from templates: the same bundle gives the same bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dspctl import __version__
from dspctl.exporter.bundle_files.escapes import markdown_text, number_text, xml_text
from dspctl.exporter.native.flags import object_flags
from dspctl.exporter.native.targets import NATIVE_TARGETS
from dspctl.exporter.templating import template_environment
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.bundle.specs import action_specification, observation_specification
from dspctl.runtime.policy import Policy

README, SHA256SUMS = "README.md", "SHA256SUMS"

_DEFAULT_HZ = 50.0
"""Of the examples, where no rate was stated."""

_TEMPLATES = {
    "CMakeLists.txt": "CMakeLists.txt.jinja",
    "cmake/{name}-config.cmake": "config.cmake.jinja",
    "cmake/{name}-config-version.cmake": "config-version.cmake.jinja",
    "examples/control_loop.cpp": "control_loop.cpp.jinja",
    "examples/loop/control_loop.hpp": "loop/control_loop.hpp.jinja",
    "examples/loop/events.hpp": "loop/events.hpp.jinja",
    "examples/loop/watchdog.hpp": "loop/watchdog.hpp.jinja",
    "examples/ros2/package.xml": "ros2/package.xml.jinja",
    "examples/ros2/CMakeLists.txt": "ros2/CMakeLists.txt.jinja",
    "examples/ros2/policy_node.cpp": "ros2/policy_node.cpp.jinja",
}
"""Path in the bundle → template, for bundles with native code."""

_HOSTED_ONLY = ("examples/",)
"""What makes no sense in a bundle for microcontrollers alone."""

_ON_INVALID = {
    "flag": (
        "It gives the safe action below, whatever was observed.",
        "it is the safe action.",
    ),
    "hold": (
        "The action buffer is not touched: it keeps the last action. Start with the safe action "
        "in it.",
        "it is still the last one.",
    ),
    "zero": (
        "The feature is read as 0, moved into its range, and the policy acts on that.",
        "the policy acted on a repaired observation.",
    ),
    "clamp": (
        "The feature is moved to the nearest end of its range (NaN to 0, moved into its range), "
        "and the policy acts on that.",
        "the policy acted on a repaired observation.",
    ),
}

_MEANINGS = (
    ("manifest.json", "what this is, and every file's SHA-256"),
    ("policy.safetensors", "the policy, for dspctl"),
    ("policy.onnx", "the same as an ONNX graph, float32"),
    ("policy.fp16.onnx", "its layers in float16, for TensorRT"),
    ("policy.int8.onnx", "its layers in int8, for TensorRT"),
    ("golden.safetensors", "observations with the reference's answers"),
    ("parity.json", "how far every artefact was from the reference at export"),
    ("gate.json", "what the artefact earned in its environment at export"),
    ("bom.cdx.json", "bill of materials, CycloneDX 1.6"),
    ("SHA256SUMS", "the same hashes for sha256sum"),
    ("README.md", "this"),
    ("native/", "C source and header, static and shared library, command, per processor"),
    ("command/", "source of the command `policy`"),
    ("cmake/", "CMake package"),
    ("CMakeLists.txt", "builds the example"),
    ("examples/", "a control loop and a ROS 2 node"),
    ("tensorrt/", "the recipe of a TensorRT plan"),
    ("tensorrt-rtx/", "a TensorRT-RTX plan and what it was built for"),
)


@dataclass(frozen=True, eq=False)
class Subject:
    """What the files are about.

    Attributes:
        policy: what the bundle holds.
        name: prefix of the C functions.
        version: of the policy.
        targets: export targets.
        sha256: of the policy file.
        builds: the native code, by folder.
        rate_hz: control steps per second, or None.
        strict: numeric mode of the native code.
        golden: number of golden vectors.
    """

    policy: Policy
    name: str
    version: str
    targets: tuple[str, ...]
    sha256: str
    builds: Mapping[str, Build]
    rate_hz: float | None
    strict: bool
    golden: int


def bundle_files(subject: Subject, paths: frozenset[str]) -> dict[str, bytes]:
    """README, CMake package and examples, by path.

    Args:
        subject: what they are about.
        paths: the bundle's other files.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    context = _context(subject)
    hosted = bool(context["commands"])
    files = {
        path.format(name=subject.name): _render(template, context)
        for path, template in _TEMPLATES.items()
        if subject.builds and (hosted or not path.startswith(_HOSTED_ONLY))
    }
    known = {*paths, *files, README, SHA256SUMS, "manifest.json"}
    listed = [
        (path, meaning)
        for path, meaning in _MEANINGS
        if any(each == path or (path.endswith("/") and each.startswith(path)) for each in known)
    ]
    recipe = any(each.startswith("tensorrt/") for each in known)
    files[README] = _render("README.md.jinja", {**context, "files": listed, "recipe": recipe})
    return {path: text.encode() for path, text in files.items()}


def checksums(files: Mapping[str, bytes]) -> bytes:
    """``SHA256SUMS`` of *files*, as sha256sum writes it."""
    lines = [f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files)]
    return "".join(lines).encode()


def _context(subject: Subject) -> dict[str, Any]:
    builds = [
        {
            "target": target,
            "folder": f"native/{target}",
            "summary": NATIVE_TARGETS[target].summary,
            "compiler": build.compiler,
            # What gcc and clang both take; their front ends choose the language's version.
            "flags": " ".join(
                flag
                for flag in object_flags(NATIVE_TARGETS[target], "clang", strict=subject.strict)
                if not flag.startswith("-std=")
            ),
        }
        for target, build in subject.builds.items()
    ]
    sentence, comment = _ON_INVALID[subject.policy.guard.on_invalid]
    parts = [*subject.version.split("."), "0", "0"][:3]
    return {
        "name": subject.name,
        "up": subject.name.upper(),
        "version": subject.version,
        "ros_version": ".".join(parts),  # ROS takes exactly three
        "dspctl": __version__,
        "environment": subject.policy.environment,
        "targets": subject.targets,
        "sha256": subject.sha256,
        "strict": subject.strict,
        "golden": subject.golden,
        "observation": observation_specification(subject.policy, rate_hz=subject.rate_hz),
        "action": action_specification(subject.policy),
        "on_invalid_sentence": sentence,
        "on_invalid_comment": comment,
        "hz": repr(float(subject.rate_hz or _DEFAULT_HZ)),
        "builds": builds,
        "commands": [each for each in builds if NATIVE_TARGETS[str(each["target"])].hosted],
        "default": builds[0]["target"] if builds else "",
    }


@cache
def _environment() -> Any:
    return template_environment(
        "dspctl.exporter.bundle_files",
        {"md": markdown_text, "xml": xml_text, "number": number_text},
    )


def _render(template: str, context: dict[str, Any]) -> str:
    text: str = _environment().get_template(template).render(context)
    return text
