"""How a host pulls: what its timer starts, and what is left of one."""

import pytest

HOSTS = {
    "web1": {"address": "10.0.0.11", "roles": ["app"]},
    "db1": {"address": "10.0.0.21", "roles": ["database"]},
    "lb1": {"address": "10.0.0.10", "roles": ["balancer"]},
    "all": {"address": "10.0.0.9", "roles": ["app", "database", "cache", "balancer"]},
}
EVERY = {"every": "30m"}


@pytest.fixture
def pull(load, tmp_path, monkeypatch):
    """``pull("web1")`` is the module on a host."""

    def on_host(id, pull=EVERY, manager="supervisor", front="nginx", master="salt", file_client="remote"):
        pillar = {"hosts": HOSTS, "apps": {}, **({"pull": pull} if pull else {})}
        salt = {
            "apps.roles": lambda: HOSTS[id]["roles"],
            "apps.managers": lambda: [manager],
            "apps.fronts": lambda: [front],
        }
        opts = {"master": master, "master_port": 4506, "file_client": file_client}
        opts |= {"config_dir": "/etc/salt", "cachedir": "/var/cache/salt/minion"}
        module = load("_modules/pull.py", salt=salt, pillar=pillar, grains={"id": id}, **opts | {"id": id})
        monkeypatch.setattr(module, "UNITS", tmp_path)
        return module

    return on_host


def alone(module):
    (timer,) = module.timers()
    (option,) = [word for word in timer["command"] if word.startswith("--alone=")]
    return option.removeprefix("--alone=").split(",")


@pytest.mark.parametrize(("every", "seconds", "chance"), [("30m", 1800, 180), ("5s", 5, 1), ("6h", 21600, 2160)])
def test_a_host_pulls_as_often_as_the_pillar_says_and_some_chance_later(pull, every, seconds, chance):
    (timer,) = pull("web1", pull={"every": every}).timers()
    assert (timer["every"], timer["chance"]) == (seconds, chance)


def test_without_the_key_a_host_does_not_pull(pull):
    assert pull("web1", pull=None).timers() == []


def test_alone_a_host_sees_to_the_services_of_its_roles_and_to_no_app_or_database(pull):
    assert alone(pull("web1")) == ["supervisor", "nginx"]
    assert alone(pull("web1", manager="systemd", front="apache")) == ["systemd", "apache"]
    assert alone(pull("db1")) == ["database.server"]
    assert alone(pull("lb1")) == ["nginx"]
    assert alone(pull("all")) == ["supervisor", "nginx", "database.server", "cache.server"]


@pytest.mark.parametrize(("master", "doors"), [("salt", ["salt:4506"]), (["a", "b"], ["a:4506", "b:4506"])])
def test_the_program_is_told_where_the_masters_are(pull, master, doors):
    (timer,) = pull("web1", master=master).timers()
    assert timer["command"][4:] == doors


def test_a_server_without_a_master_is_told_of_none(pull):
    (timer,) = pull("web1", file_client="local").timers()
    assert timer["command"][4:] == []


def test_a_timer_is_left_where_the_pillar_wants_none_any_more(pull, tmp_path):
    assert pull("web1", pull=None).left() == []
    (tmp_path / "slipway-pull.timer").touch()
    assert pull("web1").left() == []
    (left,) = pull("web1", pull=None).left()
    assert left == {"name": "slipway-pull.timer", "config": "/etc/salt/minion.d/slipway-pull.conf"}
