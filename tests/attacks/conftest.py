"""Commands are run as the tests of the command line do."""

from tests.cli.conftest import call

__all__ = ["call"]
