"""The comparison in one sentence: faster by how much, smaller by how much, as good a driver?"""

from dspctl.benchmarks.comparison.wording import interval_name, listed, three_digits, time_words
from dspctl.benchmarks.record.result import BenchResult, Ratio
from dspctl.benchmarks.request import C
from dspctl.benchmarks.stats import Interval, inverse


def verdict(result: BenchResult) -> str:
    """What the figures say of each other subject against the baseline.

    One sentence per subject; empty where there is nothing to compare. A difference whose interval
    holds 1 (ratios) or 0 (returns) is called none.
    """
    return " ".join(
        _sentence(result, subject.label) for subject in result.subjects[1:] if result.latency
    )


def _sentence(result: BenchResult, label: str) -> str:
    parts = [part for part in (_speed(result, label), _size(result, label)) if part]
    driving = _driving(result, label)
    if driving:
        parts.append(driving)
    return f"{label} {listed(parts)}." if parts else ""


def _speed(result: BenchResult, label: str) -> str:
    """On the backend that is fastest for this subject."""
    wanted = ("latency_p50", label)
    medians = [one for one in result.ratios if (one.quantity, one.subject) == wanted]
    if not medians:
        return ""
    chosen = min(medians, key=lambda one: _median_ns(result, one))
    own, other = (
        result.latency_of(name, chosen.backend or "") for name in (label, chosen.baseline)
    )
    if own is None or other is None:
        return ""
    what = "in C" if chosen.backend == C else f"with {chosen.backend}"
    times = f"{time_words(own.p50_ns.estimate)} against {time_words(other.p50_ns.estimate)}"
    ratio = chosen.value
    if ratio.low <= 1 <= ratio.high:
        return f"is as fast as {chosen.baseline} {what} ({times})"
    how = "as fast as" if ratio.estimate > 1 else "as slow as"
    if ratio.estimate < 1:
        ratio = inverse(ratio)
    return (
        f"is {three_digits(ratio.estimate)} times {how} {chosen.baseline} {what} "
        f"({times}; {_interval(three_digits(ratio.low), three_digits(ratio.high), ratio)})"
    )


def _median_ns(result: BenchResult, ratio: Ratio) -> float:
    own = result.latency_of(ratio.subject, ratio.backend or "")
    return float("inf") if own is None else own.p50_ns.estimate


def _size(result: BenchResult, label: str) -> str:
    found = result.ratio_of("parameter_bytes", label)
    if found is None or found.value.estimate == 1:
        return ""
    factor = found.value.estimate
    if factor > 1:
        return f"needs {1 / factor:.1%} of its parameters"
    return f"needs {three_digits(1 / factor)} times its parameters"


def _driving(result: BenchResult, label: str) -> str:
    found = next((one for one in result.differences if one.subject == label), None)
    if found is None:
        return ""
    own, other = result.return_of(label), result.return_of(found.baseline)
    if own is None or other is None:
        return ""
    difference = found.difference
    if difference.low <= 0 <= difference.high:
        said = "shows no difference in return"
    else:
        word = "more" if difference.estimate > 0 else "less"
        said = f"earns {abs(difference.estimate):.1f} {word}"
    kept = "" if found.share is None else f", {found.share.estimate:.1%} kept"
    interval = _interval(_signed(difference.low), _signed(difference.high), difference)
    return (
        f"{said}: {own.mean.estimate:.1f} against {other.mean.estimate:.1f} over "
        f"{len(own.returns)} common episodes (difference {_signed(difference.estimate)}, "
        f"{interval}{kept})"
    )


def _interval(low: str, high: str, value: Interval) -> str:
    return f"{interval_name(value)} {low} to {high}"


def _signed(value: float) -> str:
    """With the sign that is typeset, as the page does."""
    return f"{value:+.1f}".replace("-", "\u2212")
