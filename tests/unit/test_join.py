"""``bin/join`` accepts the key that a person has read on the host, and no other."""

import copy
import importlib.machinery
import importlib.util
import subprocess
from pathlib import Path

import pytest

JOIN = Path(__file__).parents[2] / "bin/join"
KEY = "-----BEGIN PUBLIC KEY-----\nAAAA\nBBBB\n-----END PUBLIC KEY-----\n"
OTHER = KEY.replace("A", "C")
HOSTS = {"web1": {"address": "127.0.0.11"}, "web2": {"address": "127.0.0.12"}}


class Master:
    """Salt's programs on the master, with the keys that it has: ``{status: {id: key}}``."""

    def __init__(self, keys, answers):
        self.keys, self.answers, self.done = keys, answers, []

    def __call__(self, program, *arguments, may_fail=False):
        if program == "salt-run":
            return {"hosts": HOSTS, "apps": {}}
        if program == "salt":
            return {"web2": True} if self.answers else {}
        if arguments[0].startswith("--print="):
            match = arguments[0].removeprefix("--print=")
            return {
                status: {id: key for id, key in keys.items() if match in ("*", id)}
                for status, keys in self.keys.items()
            }
        raise AssertionError(f"nobody expected {program}")

    def run(self, argv):
        """The only thing that is changed: a key that waits is accepted."""
        self.done.append(argv)
        self.keys.setdefault("minions", {}).update(self.keys.pop("minions_pre"))
        return subprocess.CompletedProcess(argv, 0, "", "")


@pytest.fixture
def join(monkeypatch):
    """``join(keys, answers=...)`` -> the module in front of such a master, which waits for nothing."""
    loader = importlib.machinery.SourceFileLoader("join_under_test", str(JOIN))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    module.UNTIL_KEY = module.UNTIL_ANSWER = 0

    def before(keys, answers=True):
        module.salt = master = Master(copy.deepcopy(keys), answers)
        module.run = master.run
        return module

    return before


def refusal(module, host="web2", finger=None):
    with pytest.raises(module.Refused) as refused:
        module.accept(host, finger or module.fingerprint(KEY))
    return str(refused.value)


def test_the_key_with_the_given_fingerprint_is_accepted(join, capsys):
    module = join({"minions_pre": {"web2": KEY}})
    module.accept("web2", module.fingerprint(KEY))
    assert module.salt.done == [["salt-key", "--yes", "--accept=web2"]]
    assert "web2 has joined" in capsys.readouterr().out


def test_a_host_that_has_joined_before_is_only_asked_whether_it_answers(join):
    module = join({"minions": {"web2": KEY}})
    module.accept("web2", module.fingerprint(KEY))
    assert module.salt.done == []


REFUSED = [
    ({"minions_pre": {"web2": OTHER}}, "was not accepted: somebody else may use its name. It still waits"),
    ({"minions": {"web2": OTHER}}, "was not accepted: if it was set up anew: salt-key -d web2, and once more"),
    ({"minions": {"web2": OTHER}, "minions_pre": {"web2": KEY}}, "if it was set up anew: salt-key -d web2"),
    ({"minions_rejected": {"web2": KEY}}, "its key was rejected here: salt-key -d web2"),
    ({"minions": {"web1": KEY}, "minions_pre": {"web2": KEY}}, "web1 has the same key: web2 is a copy of it"),
    ({}, "no key of it waits: does its minion run"),
]


@pytest.mark.parametrize(("keys", "why"), REFUSED)
def test_whatever_is_not_that_key_is_refused_and_nothing_accepted(join, keys, why):
    module = join(keys)
    assert why in refusal(module)
    assert module.salt.done == []


def test_an_empty_fingerprint_is_none(join, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["join", "web2", ""])
    assert join({"minions_pre": {"web2": KEY}}).main() == 1
    assert "is no whole fingerprint" in capsys.readouterr().err


@pytest.mark.parametrize("finger", ["0f:0f", "0f" * 32, "0f:" * 32, "yes"])
def test_only_a_whole_fingerprint_will_do(join, finger):
    assert "is no whole fingerprint: write all 32 pairs" in refusal(join({"minions_pre": {"web2": KEY}}), finger=finger)


def test_a_host_that_does_not_answer_is_told(join):
    assert "its key is accepted, and it does not answer" in refusal(join({"minions_pre": {"web2": KEY}}, answers=False))


def test_a_host_that_the_inventory_does_not_know_is_refused(join):
    module = join({})
    with pytest.raises(module.Refused, match="web3: is not in pillar/hosts.yaml: add its line first, or did you mean"):
        module.known("web3")


def test_the_fingerprint_is_the_one_that_salt_shows_on_the_host(join, tmp_path):
    from salt.utils.crypt import pem_finger

    (tmp_path / "minion.pub").write_text(KEY)
    assert join({}).fingerprint(KEY) == pem_finger(str(tmp_path / "minion.pub"))


def test_the_script_for_the_host_shows_the_same_fingerprint(join, tmp_path):
    (tmp_path / "minion.pub").write_text(KEY)
    text = (JOIN.parents[1] / "conf/join.sh").read_text().replace("$$", "$")
    function = text[text.index("fingerprint() {") : text.index("pki=")]
    done = subprocess.run(
        ["sh", "-c", f'{function} fingerprint "$1"', "sh", tmp_path / "minion.pub"], capture_output=True
    )
    assert done.stdout.decode().strip() == join({}).fingerprint(KEY)
