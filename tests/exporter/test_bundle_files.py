"""The files around the policy are used as their reader would use them."""

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from dspctl.exporter.bundle_files import Subject, bundle_files
from dspctl.exporter.bundle_files.escapes import markdown_text, number_text, xml_text
from dspctl.exporter.targets import plan_of
from dspctl.runtime import NumpyRunner, Policy
from dspctl.runtime.bundle import Bundle, open_bundle
from dspctl.runtime.bundle.manifest import Build
from tests.exporter.conftest import Exported
from tests.exporter.native.tools import needs
from tests.runtime.policies import make_policy

ROS = Path(__file__).parent / "ros"
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
CONSUMER = """
cmake_minimum_required(VERSION 3.16)
project(consumer LANGUAGES C)
find_package({name} {version} CONFIG REQUIRED PATHS "{bundle}" NO_DEFAULT_PATH)
add_executable(consumer main.c)
target_link_libraries(consumer PRIVATE {name}::{name})
"""


def run(*command: str | Path, folder: Path | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def here(bundle: Bundle) -> str:
    (target,) = plan_of("cpu").native
    assert target.name in bundle.manifest.builds
    return target.name


def build(source: Path, folder: Path, *definitions: str) -> None:
    run("cmake", "-S", source, "-B", folder, *(f"-D{each}" for each in definitions))
    run("cmake", "--build", folder)


# --- CMake and the control loop ---------------------------------------------------------------


@pytest.mark.parametrize("from_source", ["OFF", "ON"])
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_the_example_builds_and_runs(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, from_source: str
) -> None:
    needs("cmake", "c++", "make")
    exported: Exported = request.getfixturevalue(kind)
    target = here(open_bundle(exported.path))
    build(
        exported.path,
        tmp_path,
        f"POLICY_TARGET={target}",
        f"POLICY_FROM_SOURCE={from_source}",
        f"CMAKE_CXX_FLAGS={WARNINGS}",
    )
    shown = run(tmp_path / "control_loop", "20", "10000")
    assert re.fullmatch(
        r"20 steps, 0 invalid, 0 observe, \d+ late, \d+ behind, 0 backend, 0 apply, \d+ stall; "
        r"0 events not written\n",
        shown,
    ), shown
    wrong = subprocess.run([tmp_path / "control_loop", "none"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, "usage: control_loop [STEPS [HZ [LOG]]]\n")
    open_bundle(exported.path)  # nothing was left inside


def test_find_package_gives_the_policy(discrete: Exported, tmp_path: Path) -> None:
    needs("cmake", "cc", "make")
    opened = open_bundle(discrete.path)
    observation = np.linspace(-0.4, 0.4, opened.policy.observation.size).astype(np.float32)
    expected = int(NumpyRunner(opened.policy)(observation))
    values = ", ".join(f"{value.item():.9g}f" for value in observation)
    (tmp_path / "main.c").write_text(
        '#include "test_v1.h"\n'
        f"int main(void) {{ const float o[] = {{ {values} }}; int32_t a[1];\n"
        "    return test_v1_act(o, a) == TEST_V1_OK ? 10 + (int)a[0] : 1; }\n"
    )
    text = CONSUMER.format(name="test_v1", version="1.4", bundle=discrete.path)
    (tmp_path / "CMakeLists.txt").write_text(text)
    build(tmp_path, tmp_path / "build")  # one target: nothing to choose
    assert subprocess.run([tmp_path / "build" / "consumer"]).returncode == 10 + expected


def test_two_policies_in_one_project(
    discrete: Exported, continuous: Exported, tmp_path: Path
) -> None:
    """Each has a target and a way of linking of its own, by cache or by the project's variables."""
    needs("cmake", "cc", "make")
    target = here(open_bundle(discrete.path))
    (tmp_path / "main.c").write_text(
        '#include "arm.h"\n#include "test_v1.h"\nint main(void) { return TEST_V1_OK + ARM_OK; }\n'
    )
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(both LANGUAGES C)\n"
        f"set(ARM_POLICY_TARGET {target})\nset(POLICY_TARGET jetson-orin)\n"
        f'find_package(test_v1 CONFIG REQUIRED PATHS "{discrete.path}" NO_DEFAULT_PATH)\n'
        f'find_package(arm CONFIG REQUIRED PATHS "{continuous.path}" NO_DEFAULT_PATH)\n'
        "add_executable(both main.c)\n"
        "target_link_libraries(both PRIVATE test_v1::test_v1 arm::arm)\n"
    )
    build(tmp_path, tmp_path / "build", "ARM_POLICY_FROM_SOURCE=ON")
    assert subprocess.run([tmp_path / "build" / "both"]).returncode == 0
    assert (tmp_path / "build" / "libarm.a").exists()
    assert not (tmp_path / "build" / "libtest_v1.a").exists()
    build(tmp_path, tmp_path / "build")  # again, with what the cache holds


@pytest.mark.parametrize(
    ("version", "definitions", "message"),
    [
        ("1.5", [], "version"),
        (
            "1.4",
            ["TEST_V1_POLICY_TARGET=toaster"],
            "TEST_V1_POLICY_TARGET is 'toaster': give one of",
        ),
    ],
)
def test_what_cmake_refuses(
    discrete: Exported, tmp_path: Path, version: str, definitions: list[str], message: str
) -> None:
    needs("cmake")
    text = CONSUMER.format(name="test_v1", version=version, bundle=discrete.path)
    (tmp_path / "CMakeLists.txt").write_text(text)
    words: list[str | Path] = [
        "cmake",
        "-S",
        tmp_path,
        "-B",
        tmp_path / "b",
        *(f"-D{each}" for each in definitions),
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())


# --- ROS 2: against declarations of rclcpp, since ROS is not installed ------------------------


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_the_node_compiles_and_answers(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    needs("c++")
    exported: Exported = request.getfixturevalue(kind)
    opened = open_bundle(exported.path)
    name, folder = opened.manifest.name, exported.path / "native" / here(opened)
    policy = opened.policy
    size = policy.observation.size
    run(
        "c++",
        "-std=c++17",
        *shlex.split(WARNINGS),
        f"-I{folder}",
        f"-I{ROS}",
        f"-DFEATURES={size}",
        f"-DREAD={policy.inputs[0]}",
        exported.path / "examples" / "ros2" / "policy_node.cpp",
        ROS / "spin.cpp",
        folder / f"lib{name}.a",
        "-o",
        tmp_path / "node",
    )
    lines = run(tmp_path / "node").splitlines()
    assert lines[:2] == [f"node {name}", "period 20000000 ns"]  # 50 Hz, said or not
    actions, statuses = lines[2:]
    # None yet, good, wrong size, not finite, the same after the clock was set, stale.
    assert statuses == "status 4 0 0 1 1 4"
    answered = np.full(size, 0.25, np.float32)
    good = np.ravel(NumpyRunner(policy)(answered))
    safe = policy.guard.safe_action
    # Mode "hold" keeps the last action for an invalid observation.
    invalid = good if policy.guard.on_invalid == "hold" else safe
    found = [float(word) for word in actions.removeprefix("action").replace(";", " ").split()]
    np.testing.assert_allclose(
        found, np.concatenate([safe, good, good, invalid, invalid, safe]), atol=1e-5
    )


def test_the_package_describes_itself(discrete: Exported) -> None:
    text = (discrete.path / "examples" / "ros2" / "package.xml").read_text()
    package = ElementTree.fromstring(text)
    assert package.findtext("name") == "test_v1_node"
    assert package.findtext("version") == "1.4.0"
    assert [each.text for each in package.findall("depend")] == ["rclcpp", "std_msgs"]


# --- README -----------------------------------------------------------------------------------


def test_the_readme_says_what_is_inside(discrete: Exported) -> None:
    text = (discrete.path / "README.md").read_text()
    for part in (
        "# test_v1 1.4",
        "50 times a second",
        "sha256sum --check --quiet SHA256SUMS",
        "| 2 | `TEST_V1_OUT_OF_RANGE` |",
        "`flag`",
        "One integer from 0 to 2",
        "The safe action is 1",
        "dspctl verify .",
    ):
        assert part in text
    listed = re.findall(r"^\| `([^`]+)` \|", text[text.index("## Files") :], re.M)
    top = {path.name + ("/" if path.is_dir() else "") for path in discrete.path.iterdir()}
    assert set(listed) == top


def test_the_commands_of_the_readme_work(discrete: Exported, tmp_path: Path) -> None:
    needs("sha256sum", "cmake", "c++", "make")
    text = (discrete.path / "README.md").read_text()
    checks, builds = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    assert "passed" in run("sh", "-ec", checks, folder=discrete.path)
    moved = builds.replace("/tmp/", f"{tmp_path}/")
    assert "100 steps" in run("sh", "-ec", moved, folder=discrete.path)


def test_links_of_the_readme_resolve(discrete: Exported) -> None:
    text = (discrete.path / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert [link for link in links if not (discrete.path / link).exists()] == []


def test_a_bundle_without_native_code_promises_none() -> None:
    files = bundle_files(subject(make_policy(), {}), frozenset({"policy.onnx"}))
    assert set(files) == {"README.md"}
    text = files["README.md"].decode()
    assert "CMake" not in text
    assert "policy verify" not in text


def test_a_bundle_for_a_microcontroller_has_no_program() -> None:
    build = Build("thumb", (), "zig", ())
    files = bundle_files(subject(make_policy(), {"cortex-m4": build}), frozenset())
    assert not any(path.startswith("examples/") for path in files)
    text = files["README.md"].decode()
    assert "control_loop" not in text
    assert b"control_loop" not in files["CMakeLists.txt"]
    assert "native/cortex-m4" in text


# --- what is foreign is escaped ---------------------------------------------------------------

HOSTILE = (
    'x"); system("rm -rf /");//</description>\n| `a` | <b> ${HOME} $(id) [l](javascript:x) é\0'
)


def subject(policy: Policy, builds: dict[str, Build]) -> Subject:
    return Subject(policy, "p", "1", ("cpu",), "0" * 64, builds, None, False, 3)


def test_a_hostile_policy_reaches_no_language() -> None:
    policy = make_policy()
    names = tuple(HOSTILE + str(i) for i in range(policy.observation.size))
    policy = replace(
        policy,
        environment=HOSTILE,
        observation=replace(policy.observation, names=names),
        lineage={"created": HOSTILE},
    )
    builds = {"x86-64-v3": Build("x86_64", (), HOSTILE, ())}
    files = bundle_files(subject(policy, builds), frozenset())
    for path, data in files.items():
        for part in (b'"rm', b'x")', b"${HOME}", b"$(id)", b"<b>", b"[l]", b"`a`", b"\0"):
            assert part not in data, path
    package = ElementTree.fromstring(files["examples/ros2/package.xml"].decode())
    assert "system" in (package.findtext("description") or "")  # whole, as text
    readme = files["README.md"].decode()
    rows = [line for line in readme.splitlines() if line.startswith("| 0 |")]
    assert rows[0].count("|") == 7


def test_escapes() -> None:
    assert markdown_text("LunarLander-v3") == "LunarLander-v3"
    assert markdown_text("a|b`c\n") == "a&#124;b&#96;c?"
    assert markdown_text(None) == ""
    assert len(markdown_text("é" * 999)) == 200 * len("&#233;")
    wrapped = f"<d>{xml_text(HOSTILE)}</d>"
    assert ElementTree.fromstring(wrapped).text == HOSTILE.replace("\n", "?").replace("\0", "?")
    assert [number_text(value) for value in (None, 1.0, -0.5, 1e20)] == ["–", "1", "-0.5", "1e+20"]


def test_every_mode_is_explained() -> None:
    texts = set[Any]()
    for mode in ("flag", "hold", "zero", "clamp"):
        policy = make_policy(on_invalid=mode)
        builds = {"x86-64-v3": Build("x86_64", (), "cc", ())}
        files = bundle_files(subject(policy, builds), frozenset())
        assert f"fixed at export: `{mode}`" in files["README.md"].decode()
        texts.add(files["examples/control_loop.cpp"])
    assert len(texts) == 3  # zero and clamp are one sentence
