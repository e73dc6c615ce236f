"""A secrets file is changed in one place, and all else in it stays as it was."""

import stat
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "bin"))
from at_rest import Refused, sls  # noqa: E402

MESSAGE = "-----BEGIN PGP MESSAGE-----\n\nhF4DFkJZ/+==\n=uctu\n-----END PGP MESSAGE-----"
KEY = ("secrets", "shop", "API_KEY")
OLD = """\
# About all of it.
secrets:
  shop:  # the shop
    SECRET_KEY: clear  # about the key
    # about the other
    OTHER: |
      two
      lines

# At the end.
"""


def changed(text, path=KEY):
    return sls.changed(text, path, MESSAGE, "shop.sls")


def value(text, path=KEY):
    data = yaml.safe_load(text)
    for name in path:
        data = data[name]
    return data


def without(text, message=MESSAGE):
    """The lines of a text that are no part of the message."""
    return [line for line in text.splitlines() if line.strip() not in message.splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# Nothing yet.\n",
        "secrets:\n",
        "secrets:\n  shop:\n",
        "secrets:\n  # about the shop\n  shop:\n",
        "secrets:\n  other:\n    A: b\n",
        "secrets:\n  shop:\n    API_KEY:\n",
        "secrets:\n  shop:\n    API_KEY: old",
        "secrets:\n    shop:\n        API_KEY: 'old'\n        B: c\nmine: [1, 2]\n",
        "secrets:\n  shop:\n    API_KEY: >\n      old\n\n\n    B: c\n",
        "passwords: {database: {shop: x}}\n",
        "---\nsecrets:\n  shop:\n    B: 'a\n\n      b'\n",
    ],
)
def test_a_value_is_put_where_it_belongs(text):
    assert value(changed(text)) == f"{MESSAGE}\n"


@pytest.mark.parametrize("name", ["SECRET_KEY", "OTHER", "NEW"])
def test_comments_and_other_values_stay(name):
    path = ("secrets", "shop", name)
    after = changed(OLD, path)
    assert {**yaml.safe_load(OLD)["secrets"]["shop"], name: f"{MESSAGE}\n"} == yaml.safe_load(after)["secrets"]["shop"]
    for comment in ("# About all of it.", "# the shop", "# about the key", "# about the other", "# At the end."):
        assert after.count(comment) == 1


def test_only_the_lines_of_the_value_differ():
    after = changed(OLD, ("secrets", "shop", "OTHER"))
    gone = ["      two", "      lines"]
    assert without(after)[1:] == [line for line in without(OLD) if line not in gone]


SECOND = MESSAGE.replace("hF4D", "hF5D")
LISTS = [
    "secrets:\n  shop:\n    API_KEY: old\n    B: c  # b\n",
    "secrets:\n  shop:\n    API_KEY: [old, older]  # two\n    B: c  # b\n",
    "secrets:\n  shop:\n    API_KEY:  # two\n    - old\n    - older\n    # next\n    B: c  # b\n",
    "secrets:\n  shop:\n    API_KEY:\n      - |\n        old\n\n    B: c  # b\n",
    "secrets:\n  shop:\n    B: c  # b\n",
]


@pytest.mark.parametrize("text", LISTS)
@pytest.mark.parametrize("given", [[MESSAGE, SECOND], [MESSAGE, "fake"], MESSAGE])
def test_a_secret_that_is_rotated_has_several_values(text, given):
    after = sls.changed(text, KEY, given, "shop.sls")
    assert sls.value(after, KEY, "shop.sls") == given
    assert yaml.safe_load(after)["secrets"]["shop"]["B"] == "c"
    assert [after.count(comment) for comment in ("# two", "# next", "# b")] == [
        text.count(comment) for comment in ("# two", "# next", "# b")
    ]


def test_what_a_store_gives_cannot_be_moved_behind_another_value():
    text = "secrets:\n  shop:\n    API_KEY: {{ salt['sdb.get']('sdb://a/b') | json }}\n"
    with pytest.raises(Refused, match="cannot be put there"):
        sls.changed(text, KEY, [MESSAGE, sls.value(text, KEY, "shop.sls")], "shop.sls")


def test_a_value_that_is_set_again_replaces_the_one_before():
    other = MESSAGE.replace("hF4D", "hF5D")
    once = changed(OLD)
    assert sls.changed(once, KEY, other, "shop.sls") == once.replace("hF4D", "hF5D")


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("secrets:\n", "#!yaml|gpg"),
        ("#!yaml\n", "#!yaml|gpg"),
        ("#!jinja|yaml\n", "#!jinja|yaml|gpg"),
        ("#!yaml|gpg\n", "#!yaml|gpg"),
        ("#!jinja|yaml|gpg\n", "#!jinja|yaml|gpg"),
        ("mine: {{ salt['sdb.get']('sdb://a/b') | json }}\n", "#!jinja|yaml|gpg"),
    ],
)
def test_the_first_line_tells_salt_to_decrypt(first, then):
    after = changed(first)
    assert after.splitlines()[0] == then
    assert sls.is_decrypted(after)


@pytest.mark.parametrize(
    "text",
    [
        "secrets: {shop: {A: b}}\n",
        "secrets: [shop]\n",
        "secrets: text\n",
        "secrets:\n  shop: &x\n    A: b\n  other: *x\n",
        "secrets:\n  shop:\n    API_KEY: a\n    API_KEY: b\n",
        "secrets:\n  shop:\n    A: [b\n",
    ],
)
def test_what_cannot_be_changed_safely_is_refused(text):
    with pytest.raises(Refused, match=r"^shop.sls: (secrets:shop:API_KEY cannot be put there|cannot be read as YAML)"):
        changed(text)


def test_a_file_that_is_no_yaml_is_refused_without_a_word_of_it():
    with pytest.raises(Refused) as refused:
        changed("secrets:\n  shop: *hunter2\n")
    assert str(refused.value) == "shop.sls: cannot be read as YAML: see line 2"


NAMES = st.text("abcXYZ_09", min_size=1, max_size=6).filter(lambda name: not name[0].isdigit())
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\ue000{"), min_size=1, max_size=30)
FILES = st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3)


@given(data=FILES, app=NAMES, key=NAMES, style=st.sampled_from([None, "|", '"', "'"]), indent=st.integers(2, 6))
def test_whatever_is_in_the_file_only_the_one_value_changes(data, app, key, style, indent):
    text = yaml.safe_dump({"secrets": data}, default_style=style, indent=indent, default_flow_style=False)
    try:
        after = sls.changed(text, ("secrets", app, key), MESSAGE, "x.sls")
    except Refused:
        # An empty mapping is written as { }.
        assert not data or not data.get(app, True)
        return
    assert yaml.safe_load(after) == {"secrets": {**data, app: {**data.get(app, {}), key: f"{MESSAGE}\n"}}}


def test_the_file_is_for_its_owner_and_group_only(tmp_path):
    sls.write(tmp_path / "secrets/shop.sls", "a: b\n")
    assert stat.S_IMODE((tmp_path / "secrets/shop.sls").stat().st_mode) == 0o640
    assert [file.name for file in (tmp_path / "secrets").iterdir()] == ["shop.sls"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        sls.write(tmp_path / "shop.sls", "a: b\n")
    assert list(tmp_path.iterdir()) == []
