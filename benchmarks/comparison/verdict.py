"""The comparison in one sentence: faster by how much, smaller by how much, as good a driver?"""

from dspctl.benchmarks.comparison.returns import ReturnDifference
from dspctl.benchmarks.comparison.wording import listed, ratio_words, three_digits, time_words
from dspctl.benchmarks.record.result import BenchResult, Ratio
from dspctl.benchmarks.request import C


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
    pair = f"{time_words(own.p50_ns.estimate)} against {time_words(other.p50_ns.estimate)}"
    ratio = chosen.value
    if ratio.low <= 1 <= ratio.high:
        return f"is as fast as {chosen.baseline} {what} ({pair})"
    if ratio.estimate > 1:
        return f"is {ratio_words(ratio)} as fast as {chosen.baseline} {what} ({pair})"
    slower = 1 / ratio.estimate
    return f"is {three_digits(slower)} times slower than {chosen.baseline} {what} ({pair})"


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
    pair = f"{own.mean.estimate:.1f} against {other.mean.estimate:.1f}"
    rest = f"over {len(own.returns)} common episodes"
    return f"{_comparison(found)} ({pair}{_share(found)}) {rest}"


def _comparison(found: ReturnDifference) -> str:
    difference = found.difference
    ends = f"{difference.low:+.1f} to {difference.high:+.1f}"
    interval = f"{difference.confidence:.0%} interval {ends}"
    if difference.low <= 0 <= difference.high:
        return f"shows no difference in return, {interval}"
    word = "more" if difference.estimate > 0 else "less"
    return f"earns {abs(difference.estimate):.1f} {word}, {interval}"


def _share(found: ReturnDifference) -> str:
    return "" if found.share is None else f", {found.share.estimate:.1%} kept"
