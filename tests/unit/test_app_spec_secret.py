"""A secret is seen nowhere but where it is asked for."""

import copy
import dataclasses
import json
import pickle

import pytest

from app_spec import Secret


@dataclasses.dataclass
class Holder:
    password: Secret


WAYS_TO_PRINT = {
    "str": str,
    "repr": repr,
    "format": lambda secret: f"{secret} {secret!r} {secret:>10}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
    "join": lambda secret: "".join([secret]),
    "sum": lambda secret: "x" + secret,
    "json": lambda secret: json.dumps({"a": secret}),
    "dataclass": lambda secret: repr(Holder(secret)),
    "asdict": lambda secret: repr(dataclasses.asdict(Holder(secret))),
    "copy": lambda secret: repr(copy.deepcopy(secret)),
    "pickle": lambda secret: pickle.dumps(secret).decode("latin-1"),
}


@pytest.mark.parametrize("way", WAYS_TO_PRINT)
def test_a_secret_prints_as_asterisks(way):
    text = WAYS_TO_PRINT[way](Secret("hunter2"))
    assert "********" in text
    assert "hunter2" not in text


def test_a_secret_is_revealed_when_asked():
    assert Secret("hunter2").reveal() == "hunter2"


def test_secrets_are_equal_when_their_values_are():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_a_secret_is_not_equal_to_its_mask():
    assert Secret("a") != "********"
