"""The large numbers at the top: what a reader takes away, from a result."""

from collections.abc import Sequence

from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report import words
from dspctl.benchmarks.report.figures import Figure, ratio_figure
from dspctl.benchmarks.report.view import Key

_NOTABLE = 1.05
"""A smaller ratio of a whole process's memory is no figure to print large."""


def leading_backends(result: BenchResult, label: str) -> tuple[str, ...]:
    """The fastest backend of a subject, and the one that the advice names if it is another."""
    fastest = result.fastest(label)
    advised = [one.backend for one in result.advice if one.label == label]
    return tuple(dict.fromkeys(([] if fastest is None else [fastest.backend]) + advised))


def key_figures(result: BenchResult) -> list[Key]:
    """At most eight: speed, return, size, deadlines, flash, memory, energy."""
    if len(result.subjects) < 2:
        return _keys_alone(result)
    base, subject = result.subjects[0], result.subjects[-1]
    backends = leading_backends(result, subject.label)
    labels = (base.label, subject.label)
    found: list[Key | None] = []

    for backend in backends:
        p50 = [result.latency_of(label, backend) for label in labels]
        found.append(
            _ratio_key(
                ratio_figure(result, "latency_p50", subject.label, backend),
                ("as fast", "as fast"),
                f": the median of one action with {backend}",
                [None if one is None else words.time_of(one.p50_ns.estimate) for one in p50],
            )
        )
    backend = backends[-1] if backends else ""
    found.append(_return_key(result, labels))
    counts = [words.count_of(one.weights) for one in (base, subject)]
    weights = ratio_figure(result, "weights", subject.label)
    found.append(_ratio_key(weights, ("fewer weights", "the weights, inverse"), "", counts))
    found += _misses(result, subject.label, backend)
    for target in dict.fromkeys(one.target for one in result.code):
        sizes = {
            one.label: words.size_of(one.flash_bytes) for one in result.code if one.target == target
        }
        flash = ratio_figure(result, "flash_bytes", subject.label, target)
        found.append(
            _ratio_key(
                flash,
                ("less flash", "of the flash, inverse"),
                f", compiled for {target}",
                [sizes.get(label) for label in labels],
            )
        )
    memory = ratio_figure(result, "memory_pss", subject.label, backend)
    if memory is not None and memory.value > _NOTABLE:
        pss = [result.memory_of(label, backend) for label in labels]
        found.append(
            _ratio_key(
                memory,
                ("less memory (PSS)", ""),
                f" of the process with {backend}",
                [None if one is None else words.size_of(one.median("pss_bytes")) for one in pss],
            )
        )
    for one in result.energy:
        if one.label == subject.label:
            both = [result.energy_of(label, one.backend) for label in labels]
            found.append(
                _ratio_key(
                    ratio_figure(result, "energy", subject.label, one.backend),
                    ("less energy per action", "of the energy per action, inverse"),
                    f" with {one.backend}",
                    [None if e is None else words.energy_of(e.joules.estimate) for e in both],
                )
            )
    return [key for key in found if key is not None][:8]


def _ratio_key(
    figure: Figure | None, names: tuple[str, str], rest: str, texts: Sequence[str | None]
) -> Key | None:
    """A ratio as a large number: *names* are for a ratio of 1 and more, and for one below."""
    if figure is None:
        return None
    name = names[0] if figure.value >= 1 else names[1]
    return _key(figure, name + rest, texts, "simultaneous 95% interval")


def _key(figure: Figure, name: str, texts: Sequence[str | None], interval: str) -> Key:
    detail = " → ".join(text or words.DASH for text in texts)
    if figure.interval:
        detail += f"; {interval} {figure.interval}"
    return Key(figure, name, detail)


def _return_key(result: BenchResult, labels: tuple[str, str]) -> Key | None:
    for index, one in enumerate(result.differences):
        if (one.baseline, one.subject) != labels:
            continue
        means = [result.return_of(label) for label in labels]
        texts = [None if mean is None else words.return_of(mean.mean.estimate) for mean in means]
        low, high = words.change_of(one.difference.low), words.change_of(one.difference.high)
        figure = Figure(
            f"/differences/{index}/difference/estimate",
            one.difference.estimate,
            words.change_of(one.difference.estimate),
            words.range_of(low, high),
        )
        return _key(figure, "return, on the same episodes", texts, "95% interval")
    return None


def _misses(result: BenchResult, label: str, backend: str) -> Sequence[Key]:
    for index, one in enumerate(result.paced):
        if (one.label, one.backend) == (label, backend):
            figure = Figure(
                f"/paced/{index}/deadline_misses",
                one.deadline_misses,
                words.count_of(one.deadline_misses),
            )
            rate = f"{one.rate_hz:g} Hz"
            detail = f"of {words.count_of(one.steps)} steps at {rate}, {label} with {backend}"
            return [Key(figure, "deadlines missed", detail)]
    return []


def _keys_alone(result: BenchResult) -> list[Key]:
    """The large numbers of a policy without a baseline."""
    subject = result.subjects[0]
    found: list[Key] = []
    backends = leading_backends(result, subject.label)
    backend = backends[-1] if backends else ""
    for index, one in enumerate(result.latency):
        if (one.label, one.backend) == (subject.label, backend):
            p50 = one.p50_ns
            ends = words.range_of(words.time_of(p50.low), words.time_of(p50.high))
            figure = Figure(
                f"/latency/{index}/p50_ns/estimate", p50.estimate, words.time_of(p50.estimate)
            )
            found.append(
                Key(figure, f"median of one action with {one.backend}", f"95% interval {ends}")
            )
    found += _misses(result, subject.label, backend)
    shape = f"{words.units_of(subject.units)} hidden units"
    figure = Figure("/subjects/0/weights", subject.weights, words.count_of(subject.weights))
    return [*found, Key(figure, "weights", shape)]
