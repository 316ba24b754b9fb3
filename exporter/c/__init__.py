"""Policy → C99: no heap, no library, no changing globals; laid out for the target's registers."""

from dspctl.exporter.c.generate import CSource, c_from_policy
from dspctl.exporter.c.names import check_identifier, identifier_from_environment

__all__ = ["CSource", "c_from_policy", "check_identifier", "identifier_from_environment"]
