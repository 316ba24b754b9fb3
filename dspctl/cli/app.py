"""The commands put together, and the one place where an error becomes a sentence.

Nothing heavy may be imported here or at the top of a command's file: ``dspctl --help`` answers
at once and works on a vehicle that has no training stack.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dspctl import __version__
from dspctl.cli import (
    bench,
    compact,
    demo,
    deploy,
    doctor,
    engine,
    evaluate,
    export,
    inspect,
    report,
    run,
    show,
    shrink,
    sign,
    study,
    train,
    verify,
)
from dspctl.errors import DspctlError

EXIT_ERROR = 2


class Commands(TyperGroup):
    """The command group: prints a `DspctlError` as one sentence and exits 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let ``--debug`` stand anywhere, since it is added to a line that just failed."""
        if "--debug" in args:
            args = ["--debug", *(arg for arg in args if arg != "--debug")]
        return list(super().parse_args(ctx, args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a traceback only with ``--debug``."""
        try:
            return super().invoke(ctx)
        except DspctlError as error:
            if ctx.params.get("debug"):
                raise
            show.problem(str(error))
            raise typer.Exit(EXIT_ERROR) from None
        except OSError as error:
            # Compilers, temporary files, libraries: a bad disk may be met anywhere, and is no
            # defect of dspctl. What it wrote itself says more, in a `WriteFailed`.
            if ctx.params.get("debug") or not _of_the_disk(error):
                raise
            where = f"could not write {error.filename}" if error.filename else "a disk is unusable"
            from dspctl.runtime.disks import ADVICE

            show.problem(f"{where} ({error.strerror}): {ADVICE}")
            raise typer.Exit(EXIT_ERROR) from None


def _of_the_disk(error: OSError) -> bool:
    """Whether a disk is full or may not be written; `tempfile` has words of its own for it."""
    from dspctl.runtime.disks import OF_A_DISK

    if isinstance(error, FileNotFoundError):
        return "No usable temporary directory" in str(error.strerror)
    return error.errno in OF_A_DISK


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dspctl {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, not just its sentence.")
    ] = False,
) -> None:
    """Train, compact, export and benchmark pruned reinforcement-learning policies.

    Start with **dspctl demo**; **dspctl doctor** tells what this machine can do.
    """
    show.log_to_stderr()


app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("shrink")(shrink.shrink)
app.command("compact")(compact.compact)
app.command("export")(export.export)
app.command("verify")(verify.verify)
app.command("keygen")(sign.keygen)
app.command("sign")(sign.sign)
app.command("deploy")(deploy.deploy)
app.command("rollback")(deploy.rollback)
app.command("run")(run.run)
app.command("bench")(bench.bench)
app.command("study")(study.study)
app.command("report")(report.report)
app.command("eval")(evaluate.evaluate)
app.command("inspect")(inspect.inspect)
app.command("doctor")(doctor.doctor)
app.add_typer(engine.app, name="engine")
