import os

import pytest

from tests.benchmarks.report.browser import CHROMIUM, browser
from tests.exporter.native.tools import needs


@pytest.mark.parametrize("first_free", [27, 28])
def test_the_browser_answers_whatever_descriptors_are_open(first_free: int) -> None:
    """With four pipes' ends from 27 on, copies to fixed numbers (30, 31) once closed its own."""
    needs(CHROMIUM)
    held = []
    try:
        while (descriptor := os.open(os.devnull, os.O_RDONLY)) < first_free:
            held.append(descriptor)
        os.close(descriptor)
        with browser() as found:
            assert found.value("6 * 7") == 42
    finally:
        for descriptor in held:
            os.close(descriptor)
