"""What a run may cost on a host where nothing is to be done. bench/ measures the rest; this can be counted exactly."""

import re

from lab.system import TREE

PYTHON = "/opt/salt/bin/python"
COUNTER = (TREE / "bench/full_loads.py").read_text()


def full_loads(site, *arguments):
    """How often ``salt-call ...`` on web1 imports every module of a kind (0.5 s of CPU), and what it looked for."""
    printed = site.lab.run("web1", [PYTHON, "-", *arguments], input=COUNTER).stdout
    return re.search(r"^full loads: (\d+) ?(.*)", printed, re.MULTILINE).groups()


def test_a_highstate_with_nothing_to_do_never_imports_every_module(serving_v1):
    assert full_loads(serving_v1, "state.apply") == ("0", "")


def test_the_counter_sees_that_a_condition_on_a_state_imports_every_module(serving_v1):
    count, looked_for = full_loads(serving_v1, "state.single", "test.nop", "conditional", "unless=['false']")
    assert int(count) > 0
    assert "mod_run_check" in looked_for


def test_a_minion_gives_way_to_what_serves_users_and_nothing_that_it_started_does(serving_v1):
    lines = serving_v1.lab.run("web1", ["ps", "-eo", "ni=,args="]).stdout.splitlines()
    processes = [line.split(maxsplit=1) for line in lines]
    named = ("salt-minion", "supervisord", "gunicorn", "nginx: worker")
    niceness = {name: {int(nice) for nice, command in processes if name in command} for name in named}
    assert niceness == {"salt-minion": {5}, "supervisord": {0}, "gunicorn": {0}, "nginx: worker": {0}}
