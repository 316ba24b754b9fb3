"""A result asked row by row: the figures of every quantity, for all subjects."""

from collections.abc import Callable, Sequence
from typing import Any

from dspctl.benchmarks.record.result import BenchResult
from dspctl.benchmarks.report import words
from dspctl.benchmarks.report.figures import Figure, Format, Row, interval_figure, ratio_figure
from dspctl.benchmarks.request import C
from dspctl.benchmarks.stats import Interval

PERCENTILES = ("min", "mean", "p50", "p90", "p99", "p99_9", "max")
_ADDED = "import_pss_bytes+run_pss_bytes"
_OF_A_PROGRAM = ("pss_bytes", "peak_rss_bytes", "first_action_ns")
_NAMES = {"p50": "median (p50)", "p99_9": "p99.9"}


class Rows:
    """A result, asked row by row."""

    def __init__(self, result: BenchResult) -> None:
        self._result = result
        self._labels = [subject.label for subject in result.subjects]

    def network(self) -> tuple[Row, ...]:
        """Counts of the network."""
        return (
            self._subjects("hidden units", "total_units", words.count_of, "units"),
            self._subjects("weights", "weights", words.count_of, "weights"),
            self._subjects("biases", "biases", words.count_of),
            self._subjects("FLOPs per action", "flops", words.count_of, "flops"),
            self._subjects(
                "parameters as float32", "parameter_bytes", words.size_of, "parameter_bytes"
            ),
        )

    def files(self) -> tuple[Row, ...]:
        """Sizes of the files."""
        return (
            self._subjects("policy file", "policy_bytes", words.size_of, "policy_bytes"),
            self._subjects("ONNX file", "onnx_bytes", words.size_of, "onnx_bytes"),
        )

    def targets(self) -> tuple[str, ...]:
        """What there is compiled code for."""
        return tuple(dict.fromkeys(one.target for one in self._result.code))

    def code(self, target: str) -> tuple[Row, ...]:
        """Sizes of one target's compiled code."""
        names = (
            ("flash", "flash_bytes"),
            ("RAM between calls", "ram_bytes"),
            ("stack of a call", "stack_bytes"),
            ("shared library, file", "library_bytes"),
            ("static command, file", "command_bytes"),
        )
        return tuple(
            self._records(
                name,
                self._result.code,
                "code",
                lambda one: one.target == target,
                field,
                words.size_of,
                (field, target),
            )
            for name, field in names
        )

    def plans(self) -> tuple[Row, ...]:
        """Sizes of TensorRT plans."""
        kinds = dict.fromkeys((one.flavor, one.precision) for one in self._result.plans)
        return tuple(row for kind in kinds for row in self._plan(*kind))

    def _plan(self, flavor: str, precision: str) -> tuple[Row, ...]:
        return tuple(
            self._records(
                f"{name}, {flavor} {precision}",
                self._result.plans,
                "plans",
                lambda one: (one.flavor, one.precision) == (flavor, precision),
                field,
                words.size_of,
            )
            for name, field in (
                ("plan", "plan_bytes"),
                ("memory on the device", "device_memory_bytes"),
            )
        )

    def returns(self) -> tuple[Row, ...]:
        """How the subjects act; the difference stands where other rows have a ratio."""
        found = self._records(
            "mean return", self._result.returns, "returns", None, "mean", words.return_of
        )
        shares: list[Figure | None] = [None] * (len(self._labels) - 1)
        changes = list(shares)
        for index, one in enumerate(self._result.differences):
            if one.subject not in self._labels[1:]:
                continue
            place = self._labels.index(one.subject) - 1
            pointer = f"/differences/{index}"
            changes[place] = interval_figure(
                f"{pointer}/difference", one.difference, words.change_of
            )
            if one.share is not None:
                shares[place] = interval_figure(f"{pointer}/share", one.share, words.share_of)
        episodes = self._records(
            "invalid observations",
            self._result.returns,
            "returns",
            None,
            "invalid",
            words.count_of,
        )
        empty = (None,) * len(self._labels)
        return (
            Row("mean return; difference by episode", found.figures, tuple(changes)),
            Row("share of the baseline's", empty, tuple(shares)),
            episodes,
        )

    def latency(self, backend: str) -> tuple[Row, ...]:
        """Back to back."""
        return tuple(
            self._records(
                _NAMES.get(name, name),
                self._result.latency,
                "latency",
                lambda one: one.backend == backend,
                f"{name}_ns",
                words.time_of,
                (f"latency_{name}", backend),
                bound=name,
            )
            for name in PERCENTILES
        )

    def paced(self, backend: str, part: str) -> tuple[Row, ...]:
        """One of the three times of a step."""
        quantity = {"latency_ns": "paced_latency", "inference_ns": "paced_inference"}.get(part, "")
        return tuple(
            self._records(
                _NAMES.get(name, name),
                self._result.paced,
                "paced",
                lambda one: one.backend == backend,
                f"{part}/{name}",
                words.time_of,
                (f"{quantity}_{name}", backend),
                bound=f"{part}.{name}",
            )
            for name in PERCENTILES
        )

    def deadlines(self, backend: str) -> tuple[Row, ...]:
        """How many of the control loop's deadlines were missed."""
        return tuple(
            self._records(
                title,
                self._result.paced,
                "paced",
                lambda one: one.backend == backend,
                field,
                words.count_of,
            )
            for title, field in (("missed", "deadline_misses"), ("steps", "steps"))
        )

    def memory(self, backend: str) -> tuple[Row, ...]:
        """Medians over fresh processes."""
        names: tuple[tuple[str, str, Format, str], ...] = (
            ("PSS", "pss_bytes", words.size_of, "memory_pss"),
            ("PSS added to Python with NumPy", _ADDED, words.size_of, "memory_added"),
            ("peak RSS", "peak_rss_bytes", words.size_of, "memory_peak"),
            ("RSS of Python with NumPy", "baseline_rss_bytes", words.size_of, ""),
            ("RSS added by importing", "import_rss_bytes", words.size_of, ""),
            ("RSS added by loading and acting", "run_rss_bytes", words.size_of, ""),
            ("time to import", "import_ns", words.time_of, ""),
            ("time to load", "load_ns", words.time_of, ""),
            ("first action", "first_action_ns", words.time_of, ""),
        )
        if backend == C:  # a program without Python: there is nothing to tell apart
            names = tuple(one for one in names if one[1] in _OF_A_PROGRAM)
        rows = []
        for title, field, form, quantity in names:
            figures: list[Figure | None] = [None] * len(self._labels)
            for index, one in enumerate(self._result.memory):
                if one.backend != backend or one.label not in self._labels:
                    continue
                value = one.median("added_pss_bytes" if field == _ADDED else field)
                told = one.median("pss_bytes" if field == _ADDED else field)
                if form is words.size_of and not told:  # the system does not say
                    continue
                figures[self._labels.index(one.label)] = Figure(
                    f"/memory/{index}/probes/*/{field}", value, form(value)
                )
            rows.append(Row(title, tuple(figures), self._ratios(quantity, backend)))
        return tuple(rows)

    def energy(self, backend: str) -> tuple[Row, ...]:
        """Energy and power in the control loop."""
        names = (
            ("energy per action", "joules", words.energy_of, "energy"),
            ("power while it runs", "busy_w", words.power_of, ""),
            ("power while idle", "idle_w", words.power_of, ""),
        )
        return tuple(
            self._records(
                title,
                self._result.energy,
                "energy",
                lambda one: one.backend == backend,
                field,
                form,
                (quantity, backend),
            )
            for title, field, form, quantity in names
        )

    def _subjects(self, name: str, field: str, form: Format, quantity: str = "") -> Row:
        """A row of counts; a subject's units are summed, since only the widths are stored."""
        figures: list[Figure | None] = []
        for index, subject in enumerate(self._result.subjects):
            value = getattr(subject, field)
            if value is None:
                figures.append(None)
            elif field == "total_units":
                aside = words.units_of(subject.units)
                figures.append(Figure(f"/subjects/{index}/units", value, form(value), aside=aside))
            else:
                figures.append(Figure(f"/subjects/{index}/{field}", value, form(value)))
        return Row(name, tuple(figures), self._ratios(quantity, None))

    def _records(
        self,
        name: str,
        records: Sequence[Any],
        place: str,
        wanted: Callable[[Any], bool] | None,
        field: str,
        form: Format,
        ratio: tuple[str, str | None] = ("", None),
        *,
        bound: str = "",
    ) -> Row:
        """A row from one field, ``a/b`` for a field of a field, of the fitting records."""
        figures: list[Figure | None] = [None] * len(self._labels)
        for index, one in enumerate(records):
            if one.label not in self._labels or not (wanted is None or wanted(one)):
                continue
            value: Any = one
            for part in field.split("/"):
                value = getattr(value, part)
            if value is None:
                continue
            pointer = f"/{place}/{index}/{field}"
            is_bound = bool(bound) and bound in getattr(one, "clock_bound", ())
            figures[self._labels.index(one.label)] = (
                interval_figure(pointer, value, form)
                if isinstance(value, Interval)
                else Figure(pointer, value, ("≤ " if is_bound else "") + form(value), "", is_bound)
            )
        return Row(name, tuple(figures), self._ratios(*ratio))

    def _ratios(self, quantity: str, backend: str | None) -> tuple[Figure | None, ...]:
        return tuple(
            ratio_figure(self._result, quantity, label, backend) for label in self._labels[1:]
        )
