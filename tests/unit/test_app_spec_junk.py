"""Whatever a pillar holds, the answer is a fleet or a list of mistakes, never a traceback."""

import copy
import functools
import operator
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import app_spec
import app_spec_keys

TABLES = (app_spec_keys.PILLAR, app_spec_keys.HOST, app_spec_keys.APP, app_spec_keys.SOURCE, app_spec_keys.DATABASE)
NAMES = sorted({key.name for table in TABLES for key in table})
WORDS = st.sampled_from([*NAMES, "shop", "blog", "web1", "db1", "none", "v1", "10.0.0.1", "/x/", "200-399", "x.test"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=3), st.dates(), WORDS
)
KEYS = st.one_of(WORDS, st.text(max_size=5), st.integers(), st.none(), st.booleans(), st.floats())
JUNK = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5))
)


def values_of(kind):
    """Values that are nearly right: of the shape that the kind wants, with junk anywhere in it."""
    if kind.keys:
        return st.one_of(JUNK, keyed(kind.keys))
    if kind.names:
        return st.one_of(JUNK, st.dictionaries(KEYS, values_of(kind.items), max_size=3))
    if kind.items:
        return st.one_of(JUNK, st.lists(values_of(kind.items), max_size=3))
    return st.one_of(JUNK, WORDS)


def keyed(keys):
    return st.fixed_dictionaries({}, optional={key.name: values_of(key.kind) for key in keys})


@settings(max_examples=300, deadline=None, database=None)
@given(
    pillar=st.one_of(JUNK, keyed(app_spec_keys.PILLAR)), grains=st.sampled_from([None, {"id": "web1", "num_cpus": 3}])
)
def test_junk_is_a_mistake_and_never_a_traceback(pillar, grains):
    try:
        fleet = app_spec.load(pillar, grains)
    except app_spec.SpecError as error:
        assert all(": " in line for line in str(error).split("\n"))
    else:
        assert all(app_spec.plain(app) for app in fleet.apps)


def places_of(value, path=()):
    """The paths of everything in a structure."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, item in items for found in places_of(item, (*path, name)))]


RIGHT = yaml.safe_load((Path(__file__).parents[1] / "render" / "inventories" / "many.yaml").read_text())


@settings(max_examples=300, deadline=None, database=None)
@given(path=st.sampled_from(places_of(RIGHT)[1:]), junk=JUNK, host=st.sampled_from([None, *RIGHT["hosts"]]))
def test_junk_anywhere_in_a_right_pillar_is_a_mistake_and_never_a_traceback(path, junk, host):
    pillar = copy.deepcopy(RIGHT)
    place = functools.reduce(operator.getitem, path[:-1], pillar)
    place[path[-1]] = junk
    try:
        fleet = app_spec.load(pillar, {"id": host})
    except app_spec.SpecError:
        return
    assert all(app_spec.secret_values(app) for app in fleet.apps if app.password or not app.database)
