"""The ``dspctl`` command, also as ``python -m dspctl``."""

from dspctl.cli.app import app


def main() -> None:
    """Run the command line; exits with 0, or 2 after a sentence about what went wrong."""
    app(prog_name="dspctl")


if __name__ == "__main__":
    main()
