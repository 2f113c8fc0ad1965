"""The pages' structure and text against what was looked at and found good.

After a change that is meant, look at the pages and write the golden files anew:

    CAMAUDIT_GOLDEN=write pytest tests/report/test_report_golden.py

Pictures and outlines are numbered in the order they appear: their bytes belong to Pillow and to
test_report_drawing.py.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.report.html_reader import Reader

GOLDEN = Path(__file__).parent / "golden"


def outline(page: str) -> str:
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match.group(), f"{match.group()[0]}{len(numbers) + 1}")

    text = "\n".join(Reader(page).lines)
    text = re.sub(r'href="data:image/(\w+);base64,[^"]*"', r'href="\1"', text)
    return re.sub(r"\b(?:i[0-9a-f]{12}-\d+x\d+|o[0-9a-f]{12})\b", number, text) + "\n"


@pytest.mark.parametrize("name", ["page", "comparison"])
def test_page_is_as_it_was_found_good(name: str, request: pytest.FixtureRequest) -> None:
    found = outline(request.getfixturevalue(name))
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("CAMAUDIT_GOLDEN") == "write":
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")
