"""Tables and pictures of stored studies, put into a document.

``python -m dspctl.benchmarks.study.figures RESULTS.json … --doc docs/study.md --images
docs/images/study`` rewrites the document's generated blocks and the pictures; ``--check`` writes
nothing, and exits with 1 and the names of what would change.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dspctl.benchmarks.plots.style import save
from dspctl.benchmarks.study.figures.ablation_plots import ablations_figure
from dspctl.benchmarks.study.figures.collecting import collect
from dspctl.benchmarks.study.figures.collection import HEADLINE, Collection
from dspctl.benchmarks.study.figures.comparison_plots import (
    frontier_figure,
    improvement_figure,
    profiles_figure,
)
from dspctl.benchmarks.study.figures.document import blocks_of, replace_blocks
from dspctl.benchmarks.study.figures.random_returns import DEFAULT, read_random
from dspctl.benchmarks.study.figures.smallest_plots import smallest_figure
from dspctl.benchmarks.study.figures.sweep_plots import lambda_figure, lambda_methods, sweep_figure
from dspctl.benchmarks.study.figures.training_plots import learning_figure, units_figure
from dspctl.benchmarks.study.record import StudyResults, load_results
from dspctl.benchmarks.study.smallest.record import DEFAULT as SMALLEST_FILE
from dspctl.benchmarks.study.smallest.record import Smallest, load_smallest
from dspctl.errors import ConfigProblem, DspctlError, WriteFailed
from dspctl.runtime.files import write_bytes

FIGURES = {
    "profiles": profiles_figure,
    "improvement": improvement_figure,
    "frontier": frontier_figure,
    "sweep": sweep_figure,
    "ablations": ablations_figure,
    "learning": learning_figure,
    "units": units_figure,
}
SMALLEST = "smallest"
"""The picture that is made of searches, not of cells."""


def draw(collection: Collection, folder: Path, smallest: Smallest | None = None) -> list[str]:
    """Draw every picture that there is something for into *folder*.

    Returns:
        Their names, without ending.

    Raises:
        MissingExtra: matplotlib is not installed.
        WriteFailed: a file could not be written.
    """
    found = {name: make(collection) for name, make in FIGURES.items()}
    found[SMALLEST] = smallest_figure(smallest)
    for method in lambda_methods(collection):
        found[f"lambda-{method}"] = lambda_figure(collection, method)
    for name, figure in found.items():
        if figure is not None:
            save(figure, folder / f"{name}.png")
    return [name for name, figure in found.items() if figure is not None]


def generate(
    studies: dict[str, StudyResults],
    collection: Collection,
    smallest: Smallest | None,
    doc: Path,
    images: Path,
    drawn: Path,
) -> str:
    """Draw the pictures into *drawn*; give the document's new text, which links to *images*.

    Raises:
        ConfigProblem: the document is not there, or lacks a block's marks.
        MissingExtra, WriteFailed: as `draw`.
    """
    try:
        text = doc.read_text()
    except OSError as error:
        raise ConfigProblem(
            f"{doc} cannot be read ({error.strerror or error}): name a document with marks for the "
            "blocks, such as docs/study.md"
        ) from error
    names = draw(collection, drawn, smallest)
    link = Path(os.path.relpath(images, doc.parent)).as_posix()
    return replace_blocks(text, blocks_of(studies, collection, names, link, smallest))


def differences(doc: Path, text: str, images: Path, drawn: Path) -> list[Path]:
    """The document and the pictures that are not what was generated, or should not be there.

    Other pictures in the folder are none of this program's business.
    """
    found = [] if doc.read_text() == text else [doc]
    stored = {path.name for path in images.glob("*.png") if _ours(path.stem)}
    for name in sorted(stored | {path.name for path in drawn.glob("*.png")}):
        old, new = images / name, drawn / name
        if not (old.is_file() and new.is_file() and old.read_bytes() == new.read_bytes()):
            found.append(old)
    return found


def _ours(name: str) -> bool:
    return name in FIGURES or name == SMALLEST or name.startswith("lambda-")


def put(doc: Path, text: str, images: Path, drawn: Path) -> None:
    """Move what differs into place: pictures first, so that no link ever leads nowhere.

    Raises:
        WriteFailed: a file could not be written or removed.
    """
    changed = differences(doc, text, images, drawn)
    for path in changed:
        if (drawn / path.name).is_file():
            write_bytes(path, (drawn / path.name).read_bytes())
    if doc in changed:
        write_bytes(doc, text.encode())
    for path in changed:
        if path != doc and not (drawn / path.name).is_file():
            try:
                path.unlink()
            except OSError as error:
                raise WriteFailed(
                    f"could not remove {path} ({error.strerror or error}), which no result gives "
                    "any more: remove it by hand"
                ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dspctl.benchmarks.study.figures",
        description="Tables and pictures of stored studies, put into a document.",
    )
    parser.add_argument("results", nargs="*", type=Path, help="results.json of studies")
    parser.add_argument("--doc", type=Path, default=Path("docs/study.md"), help="the document")
    parser.add_argument(
        "--images", type=Path, default=Path("docs/images/study"), help="folder of the pictures"
    )
    parser.add_argument(
        "--random", type=Path, default=DEFAULT, help="what random policies earn, as it was measured"
    )
    parser.add_argument(
        "--smallest", type=Path, default=SMALLEST_FILE, help="searches for the smallest network"
    )
    parser.add_argument(
        "--sparsity", type=float, default=HEADLINE, help="of tables that show one (default 0.93)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if something would change"
    )
    options = parser.parse_intermixed_args(arguments)
    try:
        studies = {path.name: load_results(path) for path in options.results}
        if len(studies) < len(options.results):
            raise ConfigProblem("two results files have the same name: rename one, or both count")
        zeros = {name: one.mean for name, one in read_random(options.random).items()}
        smallest = load_smallest(options.smallest)
        collection = collect(list(studies.values()), zeros, headline=options.sparsity)
        with tempfile.TemporaryDirectory() as folder:
            drawn = Path(folder)
            text = generate(studies, collection, smallest, options.doc, options.images, drawn)
            changed = differences(options.doc, text, options.images, drawn)
            if not options.check:
                put(options.doc, text, options.images, drawn)
    except DspctlError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    for path in changed:
        print(f"differs: {path}" if options.check else f"written: {path}")
    return 1 if changed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
