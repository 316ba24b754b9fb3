"""Bundles for tests: exported once per module, then copied and damaged."""

from collections.abc import Mapping
from pathlib import Path

from dspctl.runtime import Policy
from dspctl.runtime.bundle import ONNX, PARITY, POLICY, bytes_from_parity, write_bundle
from dspctl.runtime.policy_file import bytes_from_policy


def graph_of(policy: Policy) -> bytes:
    from dspctl.exporter.onnx import bytes_from_model, onnx_from_policy

    return bytes_from_model(onnx_from_policy(policy))


def bundle_of(folder: Path, policy: Policy, files: Mapping[str, bytes] | None = None) -> Path:
    """A well-formed bundle whose files need not agree with each other; b"" leaves one out."""
    folder.mkdir(parents=True)
    contents = {
        POLICY: bytes_from_policy(policy),
        ONNX: graph_of(policy),
        PARITY: bytes_from_parity([]),
        **(files or {}),
    }
    write_bundle(
        folder,
        {name: data for name, data in contents.items() if data},
        target="cpu",
        environment=policy.environment,
        version="0",
        tools={},
    )
    return folder
