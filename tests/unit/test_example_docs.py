"""docs/django.md shows code that runs: every snippet is in the example project, word for word."""

import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
DOCUMENT = (TREE / "docs" / "django.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n# (\S+)\n(.+?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_every_snippet_names_its_file():
    assert len(SNIPPETS) == DOCUMENT.count("```python") > 0


@pytest.mark.parametrize(("path", "snippet"), SNIPPETS)
def test_a_snippet_is_in_the_file_that_it_names(path, snippet):
    candidates = (TREE / "examples" / folder / path for folder in ("shop", "changes/v2"))
    assert any(snippet in file.read_text(encoding="utf-8") for file in candidates if file.is_file())


def test_no_requirement_is_left_unpinned():
    lines = (TREE / "examples" / "shop" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
