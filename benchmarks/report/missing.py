"""What a page could also show, and the command that adds it."""

import shlex

from dspctl.benchmarks.report.commands import bench_command, name_of
from dspctl.benchmarks.report.sources import Chapter, PolicySource, RunSource
from dspctl.benchmarks.report.view import Missing


def missing(chapter: Chapter, *, animated: bool) -> tuple[Missing, ...]:
    """What the page could show, were it given more.

    Args:
        chapter: what it was given.
        animated: whether an animation was wanted.
    """
    found = []
    sources: tuple[PolicySource | RunSource, ...] = (*chapter.policies, *chapter.runs)
    environment = shlex.quote(chapter.environment)
    if not chapter.results:
        known: dict[bool, str] = {}
        for source in sources:
            known.setdefault(source.pruned, name_of(source.path))
        command = (
            f"dspctl bench {known.get(True, 'PRUNED')} --against {known.get(False, 'UNPRUNED')}"
        )
        found.append(
            Missing(
                "latency, memory, energy, returns and the verdict: there is no benchmark's result",
                f"{command} -o bench.json",
            )
        )
    for one in chapter.results:
        subjects = one.result.subjects
        command = bench_command(one.result, one.path)
        if len(subjects) < 2:
            found.append(
                Missing(
                    "a comparison: the benchmark had no baseline",
                    f"dspctl bench {shlex.quote(subjects[0].file)} --against UNPRUNED "
                    "-o bench.json",
                )
            )
        if one.result.status == "partial":
            found.append(Missing("what had not been measured when the benchmark ended", command))
        if not one.result.energy:
            found.append(
                Missing(
                    "energy per action: it was not measured",
                    f"{command} --energy-seconds 60 --force",
                )
            )
        if not any(one.result.samples.values()):
            found.append(
                Missing(
                    "latency distributions: the .npz files are not beside the result; copy them "
                    "there, or measure again",
                    f"{command} --force",
                )
            )
    if not chapter.runs:
        found.append(
            Missing(
                "learning curves, units over training, the shrinking network and masked weights: "
                "there is no run",
                f"dspctl train {environment}",
            )
        )
    else:
        for wanted, method in ((True, "dsp"), (False, "ppo")):
            if not any(run.pruned is wanted for run in chapter.runs):
                which = "a pruned" if wanted else "an unpruned"
                found.append(
                    Missing(
                        f"the curve of {which} run", f"dspctl train {environment} --method {method}"
                    )
                )
    sides = {source.pruned for source in sources}
    if animated and len(sides) < 2:
        found.append(
            Missing(
                "the pruned policy next to the unpruned one in motion: the page needs a run, a "
                "bundle or a policy file of each",
                "dspctl report RESULT PRUNED UNPRUNED -o report.html",
            )
        )
    return tuple(found)
