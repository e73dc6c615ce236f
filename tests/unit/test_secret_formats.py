"""What the formats of a secrets file hold, read by the readers that Django developers use."""

import configparser
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import decouple
import dotenv
import environ
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import secret_formats

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

SPEC = importlib.util.spec_from_file_location("readers", Path(__file__).parents[2] / "examples/shop/core/readers.py")
readers = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(readers)

ODD = [
    "%",
    "%%",
    "%(x)s",
    "=",
    ":",
    "#",
    " #",
    ";",
    " ; ",
    "'",
    '"',
    '"""',
    "\\",
    "\\\\",
    "\\n",
    "$",
    "${X}",
    "$X",
    "`id`",
]
ODD += [
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "\n ",
    "\n#",
    "\n\n",
    "[x]",
    "]]>",
    "<a>",
    "&amp;",
    "<!--",
    "é",
    "日本",
    "\U0001f511",
]
ODD += [
    "\x00",
    "\x01",
    "\x1b",
    "\x1c",
    "\x7f",
    "\x85",
    "\xa0",
    "\u2028",
    "\ufeff",
    "\uffff",
    ",",
    "{",
    "null",
    "true",
    "1",
]
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.lists(st.sampled_from(ODD) | st.text(CHARACTERS, max_size=3), max_size=5).map("".join)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | NAMES, inner, max_size=3),
    max_leaves=5,
)
SOME = st.dictionaries(NAMES, VALUES, max_size=3)
FILES = ["json", "ini", "xml", "toml", "env"]
FORMATS = [*FILES, "environment"]
BOUNDED = settings(max_examples=50, deadline=None)
FEW = settings(BOUNDED, max_examples=15)


def held(format, values):
    """Those of the values that the format does not refuse, as JSON has them."""
    kept = {key: value for key, value in values.items() if not secret_formats.misfit(format, key, value)}
    return json.loads(json.dumps(kept, sort_keys=True))


def as_json(value):
    """Something that differs where the types do: for Python 1 and True are the same."""
    return json.dumps(value, sort_keys=True)


def flat(values):
    return {key: secret_formats.flat(value) for key, value in values.items()}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """``file(format, values)`` is the path of a file with those of the values that the format holds."""
    folder = tmp_path_factory.mktemp("formats")

    def written(format, values):
        path = folder / f"secrets.{format}"
        path.write_bytes(secret_formats.dump(format, values).encode())
        return path

    return written


# That of XML is ElementTree, and says what the attribute `type` does.
TYPED = {"json": json.loads, "toml": tomllib.loads, "xml": readers.read_xml}


@pytest.mark.parametrize("format", TYPED)
@BOUNDED
@given(values=SOME)
def test_a_format_with_types_gives_back_what_it_holds(file, format, values):
    kept = held(format, values)
    assert as_json(TYPED[format](file(format, kept).read_text("utf-8"))) == as_json(kept)


@BOUNDED
@given(values=SOME)
def test_the_readers_of_the_example_give_back_every_text(file, values):
    texts = {key: value for key, value in values.items() if not isinstance(value, dict)}
    for format in ("ini", "env"):
        kept = held(format, texts)
        assert readers.READERS[f".{format}"](file(format, kept).read_text("utf-8")) == flat(kept)


@pytest.mark.parametrize("parser", [configparser.RawConfigParser(), configparser.ConfigParser(interpolation=None)])
@BOUNDED
@given(values=SOME)
def test_the_ini_reader_gives_back_every_text(file, parser, values):
    kept = held("ini", values)
    parser.clear()
    parser.optionxform = str
    parser.read(file("ini", kept), encoding="utf-8")
    mappings = {key: value for key, value in kept.items() if isinstance(value, dict)}
    texts = {key: value for key, value in kept.items() if key not in mappings}
    expected = {"settings": flat(texts), **{key: flat(value) for key, value in mappings.items()}}
    assert {name: dict(parser[name]) for name in parser.sections()} == expected


@BOUNDED
@given(values=SOME)
def test_python_dotenv_gives_back_every_text_of_env(file, values):
    kept = held("env", values)
    assert dotenv.dotenv_values(file("env", kept)) == flat(kept)


MANY = st.lists(TEXTS, min_size=25, max_size=25).map(lambda texts: {f"K{i}": text for i, text in enumerate(texts)})


@pytest.mark.parametrize("shell", ["dash", "bash"])
@settings(max_examples=10, deadline=None)
@given(values=MANY)
def test_a_shell_finds_in_env_what_python_dotenv_finds(file, shell, values):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    kept = held("env", values)
    show = f"exec {sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    command = [shell, "-c", f"set -a; . {file('env', kept)}; {show}"]
    done = subprocess.run(command, env={"LANG": "C.UTF-8"}, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert {key: value for key, value in json.loads(done.stdout).items() if key in values} == flat(kept)


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="needs systemd")
@settings(max_examples=30, deadline=None)
@given(text=TEXTS)
def test_systemd_finds_in_env_what_python_dotenv_finds(file, tmp_path_factory, text):
    # As an EnvironmentFile, by the same function, it reads /etc/os-release, of which this writes one value into a file.
    assume(not secret_formats.misfit("env", "BUILD_ID", text) and text)
    root = tmp_path_factory.mktemp("root")
    (root / "etc").mkdir()
    shutil.copy(file("env", {"BUILD_ID": text}), root / "etc/os-release")
    (root / "show.conf").write_text("f /out 0600 - - - %B\n")
    subprocess.run(["systemd-tmpfiles", f"--root={root}", "--create", root / "show.conf"], check=True)
    assert (root / "out").read_bytes().decode() == text


# The characters at which Python splits a text into lines.
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


@BOUNDED
@given(text=TEXTS)
def test_django_environ_finds_in_env_what_is_on_one_line_and_not_in_double_quotes(file, text):
    assume(not secret_formats.misfit("env", "ODD_KEY", text) and not set(text) & set(LINE_ENDS))
    assume(not text.startswith('"'))
    environ.Env.read_env(file("env", {"ODD_KEY": text}), overwrite=True)
    assert os.environ.pop("ODD_KEY") == text


@BOUNDED
@given(text=TEXTS)
def test_python_decouple_finds_in_env_what_is_on_one_line_without_quotes_and_backslashes(file, text):
    assume(not secret_formats.misfit("env", "ODD_KEY", text) and not set(text) & set(LINE_ENDS + "'\"\\"))
    assert decouple.RepositoryEnv(file("env", {"ODD_KEY": text}))["ODD_KEY"] == text


@pytest.mark.parametrize("format", FORMATS)
@FEW
@given(values=SOME, data=st.data())
def test_what_differs_between_two_files_is_found_by_its_key(format, values, data):
    before = held(format, values)
    after = {**before, **held(format, data.draw(SOME))}
    old, new = (secret_formats.entries(format, secret_formats.dump(format, each)) for each in (before, after))
    shown = secret_formats.flat if format in ("ini", "env", "environment") else as_json
    same = {key for key in before if shown(before[key]) == shown(after[key])}
    assert {key for key in new if old.get(key) == new[key]} == same


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("other", FILES)
def test_a_file_in_another_format_gives_no_value_of_this_one(format, other):
    text = secret_formats.dump(other, {"A": "x y", "B": "z"})
    try:
        found = secret_formats.entries(format, text)
    except ValueError:
        return
    assert not found or other == format or {other, format} == {"json", "environment"}


@pytest.mark.parametrize("format", FORMATS)
@FEW
@given(values=SOME)
def test_the_order_of_keys_in_the_pillar_makes_no_difference(format, values):
    kept = held(format, values)
    backwards = dict(reversed(kept.items()))
    assert secret_formats.dump(format, kept) == secret_formats.dump(format, backwards)


USUAL = st.text(
    st.characters(min_codepoint=33, exclude_categories=["C", "Z"], exclude_characters="'\\$\uffff"), max_size=40
)


@pytest.mark.parametrize("format", FORMATS)
@FEW
@given(text=USUAL)
def test_a_usual_text_is_refused_by_no_format(format, text):
    assert secret_formats.misfit(format, "KEY", text) == ""


REFUSED = [
    ("json", "\ud800", "surrogate"),
    ("json", {"a": ["\udfff"]}, "surrogate"),
    ("toml", None, "null"),
    ("toml", {"a": [None]}, "null"),
    ("xml", "\x1b", "control characters"),
    ("xml", {"a": ["\uffff"]}, "control characters"),
    ("xml", {"a b": 1}, "keys of a mapping"),
    ("xml", [{"1": 1}], "keys of a mapping"),
    ("ini", None, "null"),
    ("ini", " a", "begin or end with a space"),
    ("ini", "a\n b", "begin or end with a space"),
    ("ini", "a\n", "end with a line break"),
    ("ini", "a\r\nb", "begin or end with a space"),
    ("ini", "a\n#b", "begin with # or ;"),
    ("ini", {"A": {"B": None}, "C": "a\n"}, "end with a line break"),
    ("ini", {"a=b": 1}, "keys of a mapping"),
    ("ini", ["a,b"], "joined by commas"),
    ("env", None, "null"),
    ("env", "a\0", "character 0"),
    ("env", "a\rb", "carriage returns"),
    ("env", "\U0001ffff", "set apart"),
    ("env", "${X}", "puts a variable"),
    ("env", "it's $5", "single quote"),
    ("env", "`\\\\", "single quote"),
    ("env", [""], "joined by commas"),
    ("environment", None, "null"),
    ("environment", "a\0", "character 0"),
    ("environment", "é" * 65536, "128 KiB"),
    ("environment", [" a"], "joined by commas"),
]


@pytest.mark.parametrize(("format", "value", "words"), REFUSED)
def test_what_a_format_cannot_hold_is_refused_with_the_reason(format, value, words):
    assert words in secret_formats.misfit(format, "KEY", value)


def test_cfg_is_ini_by_another_name():
    assert secret_formats.FORMATS["cfg"] == secret_formats.FORMATS["ini"]


@pytest.mark.parametrize("key", ["settings", "DEFAULT"])
def test_a_mapping_is_no_section_that_has_a_meaning_of_its_own(key):
    assert f"[{key}] has a meaning of its own" in secret_formats.misfit("cfg", key, {"a": 1})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1.5, "1.5"),
        ("true", "true"),
        ([], ""),
        (["a.example.com", "b.example.com"], "a.example.com,b.example.com"),
        ([1, True, "x"], "1,true,x"),
        ([["a"], "b"], '[["a"], "b"]'),
        ([None], "[null]"),
        ({"a": 1, "ä": None}, '{"a": 1, "ä": null}'),
    ],
)
def test_a_value_becomes_one_text(value, text):
    assert secret_formats.flat(value) == text


def test_a_list_is_one_for_django_environ_and_python_decouple(file, monkeypatch):
    path = file("env", {"ODD_HOSTS": ["a.example.com", "10.0.0.1"], "ODD_FLAG": False})
    read = decouple.Config(decouple.RepositoryEnv(path))
    assert read("ODD_HOSTS", cast=decouple.Csv()) == ["a.example.com", "10.0.0.1"]
    assert read("ODD_FLAG", cast=bool) is False
    for key, value in dotenv.dotenv_values(path).items():
        monkeypatch.setenv(key, value)
    assert environ.Env().list("ODD_HOSTS") == ["a.example.com", "10.0.0.1"]
    assert environ.Env().bool("ODD_FLAG") is False


def test_python_decouple_finds_ini_values_in_its_section_and_says_so_where_it_stumbles_over_a_percent_sign(file):
    repository = decouple.RepositoryIni(file("ini", {"SECRET_KEY": "x#;=y", "DATABASE_URL": "postgresql://a:%40@b/c"}))
    assert repository["SECRET_KEY"] == "x#;=y"
    with pytest.raises(configparser.InterpolationSyntaxError):
        repository["DATABASE_URL"]


@pytest.mark.parametrize("format", ["ini", "xml", "toml", "env"])
def test_a_file_says_who_wrote_it(format):
    assert "Managed by Salt: secrets.written" in secret_formats.dump(format, {"A": "b"})
