"""Bundles for tests, put together by hand: whether their files agree is the test's business."""

from collections.abc import Mapping
from pathlib import Path

from dspctl.runtime import Policy
from dspctl.runtime.bundle import ONNX, POLICY, manifest_of, write_bundle
from dspctl.runtime.bundle.artefacts import PARITY, bytes_from_artefacts
from dspctl.runtime.bundle.manifest import Build
from dspctl.runtime.policy.file import bytes_from_policy

NAME = "test_v1"


def graph_of(policy: Policy) -> bytes:
    from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy

    return bytes_from_model(onnx_from_policy(policy))


def bundle_of(
    folder: Path,
    policy: Policy,
    files: Mapping[str, bytes] | None = None,
    *,
    name: str = NAME,
    builds: Mapping[str, Build] | None = None,
    tools: Mapping[str, str] | None = None,
) -> Path:
    """A well-formed bundle whose files need not agree with each other; b"" leaves one out."""
    folder.mkdir(parents=True)
    given = dict(files or {})
    contents = {
        POLICY: bytes_from_policy(policy),
        ONNX: given.pop(ONNX) if ONNX in given else graph_of(policy),
        PARITY: bytes_from_artefacts([]),
        **given,
    }
    contents = {path: data for path, data in contents.items() if data}
    manifest = manifest_of(
        policy, contents, name=name, targets=("cpu",), dspctl="0", builds=builds, tools=tools
    )
    write_bundle(folder, manifest, contents)
    return folder
