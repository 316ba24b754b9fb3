"""Fuzz one reader, or all in turn: ``python -m tests.fuzz.run READER --seconds N``.

Starts from valid files and from what is kept in ``tests/fuzz/corpus/READER``, and changes them as
the tests do. With atheris, which sees which lines an input reaches, changes of what reached
something new are changed further; without it (``--plain``) every input is a change of a valid file.
An input that breaks a promise is written to the corpus, where every later test run reads it.
"""

import argparse
import hashlib
import importlib
import importlib.util
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
_MEMORY_MB = 4096
_LONGEST_BYTES = 1 << 20


def kept(name: str) -> list[Path]:
    """Inputs that once broke a reader."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())


def _keep(name: str, data: bytes, error: BaseException) -> None:
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    print(f"{name}: {type(error).__name__}: {str(error)[:300]}\n  kept as {path}", flush=True)


def plain(name: str, seconds: float, seed: int) -> tuple[int, int, int]:
    """Changes of valid files for so long; returns executions, inputs that were read, findings."""
    from tests.fuzz.checking import check
    from tests.fuzz.mutations import mutated
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    valid = [*target.seeds(), *(path.read_bytes() for path in kept(name))]
    found: set[tuple[str, str, int]] = set()
    executions = read = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rng = random.Random(f"{seed} {name} {executions}")
        data = mutated(rng.choice(valid), target.kind, rng)
        executions += 1
        try:
            read += check(name, data, memory=executions % 16 == 0)
        except Exception as error:
            if (place := _place(error)) not in found:
                found.add(place)
                _keep(name, data, error)
    return executions, read, len(found)


def _place(error: BaseException) -> tuple[str, str, int]:
    """Where an error was raised: many inputs find the same."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = None if trace is None else trace.tb_frame.f_code
    return (
        type(error).__name__,
        "" if code is None else code.co_filename,
        0 if trace is None else trace.tb_lineno,
    )


def guided(name: str, seconds: float) -> int:
    """The same with atheris, in this process, which ends with it."""
    atheris: Any = importlib.import_module("atheris")

    # Before anything else imports them: what is imported already is not instrumented any more.
    with atheris.instrument_imports(include=["dspctl", "json", "tomllib"]):
        importlib.import_module("tests.fuzz.targets")
    from tests.fuzz.checking import Broken, check
    from tests.fuzz.mutations import mutated
    from tests.fuzz.targets import TARGETS

    if name not in TARGETS:
        raise SystemExit(f"there is no reader {name!r}: known are {', '.join(TARGETS)}")
    target = TARGETS[name]

    def one(data: bytes) -> None:
        try:
            check(name, data, memory=False)
        except Broken as error:
            if " takes " in str(error):  # instrumented code is many times slower
                return
            _keep(name, data, error)
            raise
        except Exception as error:
            _keep(name, data, error)
            raise

    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.2:
            mixed: bytes = atheris.Mutate(data, most)
            return mixed
        return mutated(data, target.kind, rng)[:most]

    with TemporaryDirectory() as folder:
        for index, valid in enumerate([*target.seeds(), *(p.read_bytes() for p in kept(name))]):
            Path(folder, str(index)).write_bytes(valid)
        words: list[Any] = [
            *(sys.argv[0], folder, f"-max_total_time={max(1, int(seconds))}"),
            *(f"-max_len={_LONGEST_BYTES}", f"-rss_limit_mb={_MEMORY_MB}", "-print_final_stats=1"),
            *(f"-artifact_prefix={folder}/", "-timeout=30"),
        ]
        atheris.Setup(words, one, custom_mutator=change)
        atheris.Fuzz()
    return 0


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("reader", nargs="*", help="all of them if none is named")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=0, help="of the changes; with --plain")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    options = parser.parse_args(arguments)
    warnings.simplefilter("error")
    if not options.plain and importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: run  pip install 'dspctl[fuzz]', or pass --plain")
    if not options.plain and len(options.reader) == 1:
        return guided(options.reader[0], options.seconds)
    from tests.fuzz.targets import TARGETS

    if unknown := set(options.reader) - set(TARGETS):
        parser.error(f"there is no reader {unknown.pop()!r}: known are {', '.join(TARGETS)}")
    names = options.reader or list(TARGETS)
    if options.plain:
        findings = 0
        for name in names:
            executions, read, found = plain(name, options.seconds, options.seed)
            print(f"{name}: {executions} inputs, {read} of them read, {found} findings", flush=True)
            findings += found
        return int(findings > 0)
    # Each in a process of its own: libFuzzer ends the one that it runs in.
    codes = [
        subprocess.run(
            [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", str(options.seconds)],
            check=False,
        ).returncode
        for name in names
    ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
