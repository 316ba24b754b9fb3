"""``dspctl inspect``: what is inside a run, a policy file or a bundle."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dspctl.cli import show
from dspctl.cli.repeat import recorded
from dspctl.cli.subjects import Kind, kind_of

if TYPE_CHECKING:
    from dspctl.runtime import Layer, Policy
    from dspctl.runtime.bundle import Bundle
    from dspctl.runtime.bundle.artefacts import Artefact
    from dspctl.trainer import Run

_SHA256_DIGITS = 64


def inspect(
    subject: Annotated[
        Path, typer.Argument(metavar="RUN|POLICY|BUNDLE", help="What to look into.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what is inside a run, a policy file or a bundle.

    A bundle is verified on the way: every file against its hash.
    """
    from dspctl.runtime import load_policy
    from dspctl.runtime.bundle import open_bundle
    from dspctl.runtime.files import sha256_of

    kind = kind_of(subject)
    found: dict[str, Any] = {"path": str(subject), "kind": kind.value}
    draw: Callable[[], None]
    if kind is Kind.RUN:
        from dspctl.trainer import load_run

        run = load_run(subject)
        found |= {"status": run.info["status"], "config": run.config.to_json(), "info": run.info}
        draw = partial(_draw_run, run)
    elif kind is Kind.BUNDLE:
        bundle = open_bundle(subject)
        found |= {
            "manifest": bundle.manifest.to_json(),
            "artefacts": [artefact.to_json() for artefact in bundle.artefacts],
            "policy": policy_json(bundle.policy),
        }
        draw = partial(_draw_bundle, bundle)
    else:
        policy, digest = load_policy(subject), sha256_of(subject)
        found |= {"sha256": digest, "policy": policy_json(policy)}
        draw = partial(draw_policy, policy, str(subject), {"sha256": digest})
    if as_json:
        show.result_json(found)
    else:
        draw()


def policy_json(policy: "Policy") -> dict[str, Any]:
    """Everything about a policy but its weights, JSON values only."""
    counts = policy.counts
    return {
        "environment": policy.environment,
        "observations": policy.observation.size,
        "inputs": policy.inputs.tolist(),
        "normalised": policy.normalizer is not None,
        "layers": [
            {
                "inputs": layer.fan_in,
                "units": layer.width,
                "kept": int(layer.kept.sum()),
                "bias": layer.bias is not None,
                "activation": layer.activation,
            }
            for layer in policy.layers
        ],
        "action": policy.action.kind,
        "masked": policy.masked,
        "weights": counts.weights,
        "flops": counts.flops,
        "size_bytes": counts.size_bytes,
        "lineage": policy.lineage,
    }


def draw_policy(policy: "Policy", title: str, extra: dict[str, str]) -> None:
    """Print a policy: its facts, then its layers."""
    counts = policy.counts
    normalizer = policy.normalizer
    entries = {
        "environment": policy.environment,
        "observation": f"{policy.observation.size} features, {policy.inputs.size} of them read",
        "normaliser": "none"
        if normalizer is None
        else f"mean and scale, clipped at {normalizer.clip}"
        if normalizer.clip is not None
        else "mean and scale",
        "action": _action(policy),
        "size": f"{show.count(counts.weights)} weights, {show.count(counts.flops)} FLOPs, "
        f"{show.size(counts.size_bytes)} of parameters",
        **_lineage(policy.lineage),
        **extra,
    }
    show.facts(title, entries)
    rows = [
        (_layer_name(index, policy), layer.activation, show.count(layer.fan_in), _units(layer))
        for index, layer in enumerate(policy.layers)
    ]
    show.table("Layers", ("layer", "activation", "inputs", "units"), rows, words=2)
    if policy.masked:
        show.next_command(f"dspctl compact {title} -o policy.safetensors", "remove masked units")


def _draw_run(run: "Run") -> None:
    config, info = run.config, run.info
    units = info.get("units", config.hidden)
    entries = {
        "status": str(info["status"]),
        "environment": config.environment,
        "method": f"{config.method}, sparsity {config.sparsity}, seed {config.seed}",
        "steps": show.count(info.get("steps", 0))
        + ("" if run.finished else f" of {show.count(config.steps)}"),
        "time": show.duration(info.get("seconds", 0.0)),
        "units": f"{show.units(units)} of {show.units(config.hidden)}",
    }
    metrics = run.metrics()
    if metrics:
        entries["last training return"] = show.number(metrics[-1].get("episode_return"))
    if "diverged" in info and info["status"] == "diverged":
        reason = info["diverged"]["reason"]
        entries["diverged"] = f"after step {show.count(info['diverged']['steps'])}: {reason}"
    entries["written by"] = f"dspctl {info.get('dspctl', '?')}"
    show.facts(str(run.path), entries)
    show.facts("Made with", _provenance(run))
    if run.finished:
        show.next_command(f"dspctl compact {run.path} -o policy.safetensors", "minimal network")
    else:
        show.next_command(f"dspctl train --resume {run.path}", "go on with it")


def _provenance(run: "Run") -> dict[str, str]:
    """Where and with what the run was made, and each time that it was gone on with."""
    from dspctl.trainer.runs.provenance import facts

    record = recorded(run)
    entries = {"command": record["command"]} if "command" in record else {}
    entries |= facts(record)
    entries["environments"] = f"stepped by {run.info.get('vector_backend', 'nobody yet')}"
    for one in run.info.get("resumptions", ()):
        words = [f"environments {one['environments']}"]
        words += [f"{name} {a} → {b}" for name, (a, b) in one.get("settings", {}).items()]
        words += [f"{name} {b} instead of {a}" for name, (a, b) in one.get("differs", {}).items()]
        entries[f"gone on at {show.count(one['steps'])}"] = "; ".join(words)
    return entries


def _draw_bundle(bundle: "Bundle") -> None:
    manifest = bundle.manifest
    draw_policy(
        bundle.policy,
        str(bundle.path),
        {
            "name": f"{manifest.name}, version {manifest.version}",
            "targets": ", ".join(manifest.targets),
            "rate": "not stated"
            if manifest.observation.rate_hz is None
            else f"{manifest.observation.rate_hz:g} Hz",
            "invalid observations": f"{manifest.observation.on_invalid}, safe action "
            + ", ".join(f"{value:g}" for value in manifest.action.safe_action),
            "signatures": _signatures(bundle),
            "made": manifest.created or "not stated",
            "written by": f"dspctl {manifest.dspctl}"
            + "".join(f", {name} {version}" for name, version in manifest.tools.items()),
            **{f"native: {name}": build.compiler for name, build in manifest.builds.items()},
            **{f"parity: {each.name}": _parity(each) for each in bundle.artefacts},
        },
    )
    rows = [
        (name, show.size(entry.size_bytes), entry.sha256[:16])
        for name, entry in manifest.files.items()
    ]
    show.table("Files, all as exported", ("file", "size", "sha256 begins"), rows)


def _signatures(bundle: "Bundle") -> str:
    if not bundle.signatures:
        return "none"
    named = ", ".join(each.key_id for each in bundle.signatures)
    return f"{named}; dspctl verify --public-key checks them"


def _parity(artefact: "Artefact") -> str:
    if artefact.passed is None:
        return f"not run at export: {artefact.note}"
    error = artefact.figures.get("largest_output_error", 0.0)
    verdict = "" if artefact.passed else "outside its tolerance: "
    known = f"{error:.1e}" if isinstance(error, int | float) else "unknown"
    return f"{verdict}output error at most {known}; {artefact.note}"


def _action(policy: "Policy") -> str:
    rule = policy.action
    if rule.discrete:
        return f"argmax of {policy.layers[-1].width} outputs"
    bounds = ", ".join(
        f"[{low:g}, {high:g}]" for low, high in zip(rule.low, rule.high, strict=True)
    )
    return f"{rule.kind} to {bounds}"


def _layer_name(index: int, policy: "Policy") -> str:
    return "output" if index == len(policy.layers) - 1 else f"hidden {index + 1}"


def _units(layer: "Layer") -> str:
    kept = int(layer.kept.sum())
    masked = f" ({layer.width - kept} masked)" if kept < layer.width else ""
    return f"{show.count(layer.width)}{masked}"


def _lineage(lineage: dict[str, Any]) -> dict[str, str]:
    """Where the policy came from, a line per entry."""
    entries = {name: _short(value) for name, value in lineage.items() if name != "compacted"}
    if "compacted" in lineage:
        entries["compacted"] = _compacted(lineage["compacted"])
    return entries


def _compacted(done: Any) -> str:
    """What the compactor wrote about itself; a file may hold anything under that name."""
    try:
        removed = ", ".join(f"{count} {reason}" for reason, count in done["removed"].items())
        return (
            f"from {show.units(done['before']['units'])}: {removed or 'nothing'} removed; "
            f"source {_short(done['source_sha256'])}"
        )
    except (KeyError, TypeError, AttributeError):
        return _short(done)


def _short(value: Any) -> str:
    """A lineage entry on one line."""
    if isinstance(value, list):
        return "-".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    text = str(value)
    return f"{text[:12]}…" if len(text) == _SHA256_DIGITS else text
