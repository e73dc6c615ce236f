"""docs/pillar.md and the tables of app_spec_keys say the same: every key, its type, its default and its meaning."""

import json
import re
from pathlib import Path

import pytest
import yaml

import app_spec
import app_spec_keys

PAGE = Path(__file__).parents[2] / "docs" / "pillar.md"
SECTIONS = {
    "The whole pillar": app_spec_keys.PILLAR,
    "pull": app_spec_keys.PULL,
    "hosts:&lt;host&gt;": app_spec_keys.HOST,
    "apps:&lt;app&gt;": app_spec_keys.APP,
    "apps:&lt;app&gt;:source": app_spec_keys.SOURCE,
    "apps:&lt;app&gt;:health": app_spec_keys.HEALTH,
    "apps:&lt;app&gt;:rollout": app_spec_keys.ROLLOUT,
    "apps:&lt;app&gt;:hooks": app_spec_keys.HOOKS,
    "apps:&lt;app&gt;:limits": app_spec_keys.LIMITS,
    "apps:&lt;app&gt;:tls": app_spec_keys.TLS,
    "apps:&lt;app&gt;:maintenance": app_spec_keys.MAINTENANCE,
    "apps:&lt;app&gt;:database": app_spec_keys.DATABASE,
    "apps:&lt;app&gt;:cache": app_spec_keys.CACHE,
    "apps:&lt;app&gt;:secrets": app_spec_keys.SECRETS_FILE,
    "apps:&lt;app&gt;:files:&lt;path&gt;": app_spec_keys.FILE,
    "passwords": app_spec_keys.PASSWORDS,
    "releases:&lt;app&gt;": app_spec_keys.RELEASE,
    "in_use:&lt;app&gt;:&lt;secret&gt;": app_spec_keys.IN_USE,
}


def documented(title):
    """The rows of the table under a heading of the page."""
    section = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [line for line in section[1].splitlines() if line.startswith("| `")] if section else []


def row(key):
    return f"| `{key.name}` | {key.kind.words} | {default_words(key.default)} | {key.meaning} |"


def default_words(default):
    if default is app_spec_keys.REQUIRED:
        return "required"
    if isinstance(default, app_spec_keys.Derived):
        return str(default)
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"


def tables_of(keys):
    """The tables that can be reached from the keys."""
    found = [keys]
    for key in keys:
        kind = key.kind
        while kind.items:
            kind = kind.items
        found += tables_of(kind.keys) if kind.keys else []
    return found


@pytest.mark.parametrize("title", SECTIONS)
def test_the_page_says_what_the_table_says(title):
    assert documented(title) == [row(key) for key in SECTIONS[title]]


def test_every_table_has_a_section():
    assert [table for table in tables_of(app_spec_keys.PILLAR) if table not in SECTIONS.values()] == []


def test_the_example_of_the_page_is_a_pillar_without_a_mistake():
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    pillar = {}
    for example in examples:
        pillar.update(yaml.safe_load(example))
    assert [app.name for app in app_spec.load(pillar, {"id": "web1"}).apps] == ["shop"]
