"""Whatever a pillar holds, the answer is a fleet or a list of mistakes, never a traceback."""

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


@settings(max_examples=300, deadline=None)
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
