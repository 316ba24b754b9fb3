"""Jinja2 as every generator here uses it: strict about names, silent about nothing."""

from collections.abc import Callable
from typing import Any

from dspctl.errors import MissingExtra


def template_environment(package: str, filters: dict[str, Callable[..., Any]]) -> Any:
    """The templates in the folder ``templates`` of *package*.

    Nothing is escaped by itself, since none of it is HTML: whatever comes from a policy goes
    through one of *filters*.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("jinja2", "export", "generating code") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters.update(filters)
    return environment
