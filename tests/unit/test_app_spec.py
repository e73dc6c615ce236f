"""A right pillar is completed: paths, sizes, slots, database and secrets follow from it."""

import dataclasses
import time
from pathlib import Path

import pytest
import yaml
from supervisor.datatypes import dict_of_key_value_pairs

import app_spec
import web_servers

INVENTORIES = Path(__file__).parents[1] / "render" / "inventories"
# sun_path of unix(7) has 108 bytes, the last one is a zero.
SOCKET_PATH_MAX = 107


def inventory(name):
    return yaml.safe_load((INVENTORIES / f"{name}.yaml").read_text())


def minimal(name="shop", **keys):
    """A pillar with two app hosts, a database host, and one app that has only what is required, and ``keys``."""
    app = {"source": {"git": "https://git.example.com/x.git"}, "revision": "v1", "domains": ["x.example.com"], **keys}
    hosts = {
        "web1": {"address": "10.0.0.11", "roles": ["app"]},
        "web2": {"address": "10.0.0.12", "roles": ["app"]},
        "db1": {"address": "10.0.0.21", "roles": ["database"]},
    }
    return {"hosts": hosts, "apps": {name: app}, "passwords": {"database": {name: "fake"}}}


def completed(grains=None, **keys):
    return app_spec.load(minimal(**keys), grains).apps[0]


@pytest.mark.parametrize("name", ["one", "lab", "many"])
def test_an_example_inventory_has_no_mistake(name):
    pillar = inventory(name)
    for host in pillar["hosts"]:
        assert app_spec.load(pillar, {"id": host})


def test_the_lab_inventory_of_the_tests_is_the_one_of_the_pillar():
    hosts = yaml.safe_load((INVENTORIES.parents[2] / "pillar" / "hosts.yaml").read_text())
    assert inventory("lab")["hosts"] == hosts


def test_three_keys_are_enough():
    app = completed()
    assert (app.user, app.group, app.settings, app.wsgi) == ("shop", "shop", "shop.settings", "shop.wsgi:application")
    assert (app.hosts, app.database.host, app.keep) == (("web1", "web2"), "db1", 5)


def test_an_app_without_a_host_that_is_off_has_another_canary():
    app = app_spec.without(completed(), ["web1"])
    assert (app.hosts, app.rollout.canary) == (("web2",), ("web2",))


def test_a_name_with_a_hyphen_makes_a_python_module_and_a_database_without():
    app = completed(name="web-log")
    assert (app.settings, app.wsgi) == ("web_log.settings", "web_log.wsgi:application")
    assert (app.database.name, app.database.user) == ("web_log", "web_log")


def test_paths_are_those_of_the_design():
    app = app_spec.plain(completed())
    assert app["paths"] == {
        "home": "/srv/shop", "mirror": "/srv/shop/source.git", "downloads": "/srv/shop/downloads",
        "releases": "/srv/shop/releases", "venvs": "/srv/shop/venvs", "static": "/srv/shop/static",
        "media": "/srv/shop/media", "slots": "/srv/shop/slots", "run": "/srv/shop/run",
        "furnished": "/srv/shop/furnished", "files": "/etc/shop/files", "file_set": "/etc/shop/files/set",
        "live": "/srv/shop/run/web", "standby": "/srv/shop/run/back", "nobody": "/srv/shop/slots/none",
        "current": "/srv/shop/current", "etc": "/etc/shop", "logs": "/var/log/shop",
    }  # fmt: skip
    assert app["secrets_files"] == [{"name": "secrets", "path": "/etc/shop/secrets.json", "format": "json"}]


def test_the_slots_are_blue_and_green():
    blue, green = completed().slots
    assert (blue.name, blue.link, blue.record) == ("blue", "/srv/shop/slots/blue", "/srv/shop/slots/blue.json")
    assert (green.target, green.program, green.log) == (
        "/srv/shop/run/green.sock", "shop-green", "/var/log/shop/green.log",
    )  # fmt: skip


def test_a_slot_runs_gunicorn_from_its_own_link():
    section = completed().slots[0].section
    assert section["command"] == (
        "/srv/shop/slots/blue/.venv/bin/gunicorn --config /etc/shop/gunicorn.conf.py --worker-class gthread"
        " --bind unix:/srv/shop/run/blue.sock shop.wsgi:application"
    )
    assert section["directory"] == "/srv/shop/slots/blue"


def test_a_section_does_not_change_with_the_release():
    app = completed()
    assert app_spec.with_release(app, "1a2b3c4d5e6f", "1a2b3c4d5e6f", "v2").slots == app.slots


def test_every_option_of_a_section_is_a_text():
    assert {type(value) for value in completed().slots[0].section.values()} == {str}


def test_supervisor_waits_longer_for_the_end_than_a_request_may_take():
    app = completed(timeout=50)
    assert int(app.slots[0].section["stopwaitsecs"]) > app.web.timeout == 50


def test_systemd_waits_longer_for_the_end_than_a_request_may_take():
    app = completed(timeout=50, process_manager="systemd")
    assert int(app.slots[0].section["Service"]["TimeoutStopSec"]) > app.web.timeout == 50


def test_mod_wsgi_has_apache_in_front_and_two_ports_that_other_apps_do_not_move():
    blue, green = completed(server="mod_wsgi").slots
    assert (blue.front, blue.target) == ("apache", "/srv/shop/slots/blue.map")
    port = int(blue.door.rpartition(":")[2])
    assert green.door == f"127.0.0.1:{port + 1}"
    assert 10000 <= port < 30000
    assert port % 2 == 0
    assert completed(server="mod_wsgi", port=8001).slots[1].door == "127.0.0.1:8002"


def test_uvicorn_serves_the_asgi_application():
    web = completed(server="uvicorn").web
    assert (web.interface, web.application, web.threads) == ("asgi", "shop.asgi:application", 1)


def test_granian_serves_either_application():
    assert completed(server="granian").web.application == "shop.wsgi:application"
    assert completed(server="granian", interface="asgi").web.application == "shop.asgi:application"


def test_a_limit_of_cpu_time_makes_no_more_workers_than_it_lets_run():
    assert completed({"num_cpus": 16}, limits={"cpu": 350}).web.workers == 4


def test_a_small_machine_gets_fewer_workers_and_grows_with_it():
    grains = {"num_cpus": 8, "mem_total": 1024, "id": "web1"}
    assert completed(grains).web.workers == 3
    assert completed({**grains, "mem_total": 16384}).web.workers > 3


def test_the_fleet_stays_below_the_connections_of_its_database():
    web = completed({"num_cpus": 32}).web
    assert web.workers * web.threads * 2 * 2 <= 90


def test_supervisor_reads_the_environment_as_it_was_meant():
    app = completed(variables={"NOTE": "a, b=c: 5% %(x)s \\ (d) ä", "EMPTY": "", "URL": "https://x/?a=b#c"})
    read = dict_of_key_value_pairs(app.slots[0].section["environment"])
    assert read == app.variables


def test_there_is_one_worker_a_core():
    assert completed({"num_cpus": 6}).web.workers == 6


@pytest.mark.parametrize("grains", [None, {}, {"num_cpus": 1}, {"num_cpus": "?"}])
def test_there_are_at_least_two_workers(grains):
    assert completed(grains).web.workers == 2


def test_the_operators_number_of_workers_is_taken():
    assert completed({"num_cpus": 6}, workers=1).web.workers == 1


@pytest.mark.parametrize(
    ("status", "statuses"), [(200, (200, 200)), ("204", (204, 204)), ("200-299", (200, 299)), (None, (200, 399))]
)
def test_healthy_statuses_are_a_lowest_and_a_highest(status, statuses):
    health = {} if status is None else {"status": status}
    assert completed(health=health).health.statuses == statuses


def test_a_health_check_asks_the_first_domain():
    assert completed(domains=["b.example.com", "a.example.com"]).health.host == "b.example.com"


def test_the_first_wave_is_all_the_hosts_after_the_canary():
    assert app_spec.load(inventory("lab")).app("shop").rollout.wave == 1
    assert completed(hosts=["web1"]).rollout.wave == 1


def test_how_a_release_is_watched_is_in_one_place():
    app = completed(rollout={"watch": 5, "errors": 0.5})
    assert app_spec.plain(app)["rollout"]["watch"] == {"seconds": 5, "errors": 0.5, "slowdown": 3}


def test_a_hook_is_the_arguments_of_its_commands():
    hooks = completed(hooks={"after_deploy": ["python manage.py say 'good tea'"]}).hooks
    assert hooks.after_deploy == (("python", "manage.py", "say", "good tea"),)
    assert hooks.before_deploy == hooks.on_failure == ()


def test_a_rollout_knows_its_hosts_by_name_and_its_waves_by_number():
    rollout = completed(rollout={"canary": ["web2"], "wave": "50%", "between": 60}).rollout
    assert (rollout.canary, rollout.wave, rollout.between) == (("web2",), 1, 60)
    assert completed().rollout.canary == ("web1",)
    assert completed(rollout=yaml.safe_load("{wave: 25%}")).rollout == completed(rollout={"wave": "25%"}).rollout


def test_an_app_without_a_database_has_none():
    app = completed(database="none")
    assert (app.database, app_spec.plain(app)["database"], app_spec.plain(app)["databases"]) == (None, {}, [])


def test_an_app_with_a_database_has_its_migrations_judged_and_given_up_where_users_wait():
    assert completed().web.packages[-1].startswith("django-migration-linter==")
    assert not any("linter" in package for package in completed(database="none").web.packages)
    assert completed().rollout.lock_timeout == 5
    assert completed(rollout={"lock_timeout": 0}).rollout.lock_timeout == 0


def test_a_database_knows_its_clients():
    database = completed().database
    assert (database.address, database.port, database.clients) == ("10.0.0.21", 5432, ("10.0.0.11", "10.0.0.12"))


def test_without_the_key_releases_nothing_is_known_to_be_released():
    fleet = app_spec.load(minimal())
    assert (fleet.released, fleet.apps[0].releases) == (False, ())


def test_an_app_that_the_ledger_does_not_have_is_not_released():
    fleet = app_spec.load({**minimal(), "releases": {}})
    assert (fleet.released, fleet.apps[0].releases) == (True, ())


def test_the_release_of_the_ledger_is_the_apps_release():
    [release] = app_spec.load(inventory("many")).app("shop").releases
    assert release.code == "/srv/shop/releases/1a2b3c4d5e6f"
    # One with files of the pillar in it is a copy.
    assert release.path == "/srv/shop/furnished/1a2b3c4d5e6f"
    assert release.python == "/srv/shop/furnished/1a2b3c4d5e6f/.venv/bin/python"


def test_a_release_can_be_given():
    app = app_spec.with_release(completed(), "1a2b3c4d5e6f", "c" * 40, "v2")
    assert [(release.id, release.commit, release.revision) for release in app.releases] == [
        ("1a2b3c4d5e6f", "c" * 40, "v2")
    ]


def test_a_fleet_tells_who_has_what():
    fleet = app_spec.load(inventory("many"))
    assert [app.name for app in fleet.apps_on("web4")] == ["web-log", "pages"]
    assert [database.name for database in fleet.databases_on("db1")] == ["store"]
    assert [host.name for host in fleet.with_role("balancer")] == ["lb1", "lb2"]


def test_a_host_that_is_not_there_is_told_with_the_nearest():
    with pytest.raises(app_spec.SpecError, match="no host has the name 'wbe1': did you mean 'web1'"):
        app_spec.load(minimal()).host("wbe1")


TLS = {"certificate": "/etc/ssl/shop.pem", "key": "/etc/ssl/private/shop.pem"}


def test_https_is_where_visitors_arrive():
    pillar = minimal(tls=TLS)
    secure = lambda id: [dataclasses.asdict(tls) for tls in app_spec.load(pillar, {"id": id}).apps[0].tls]  # noqa: E731
    arrive = {"web1": [TLS], "web2": [TLS], "db1": []}
    assert {id: secure(id) for id in arrive} == arrive
    pillar["hosts"]["lb1"] = {"address": "10.0.0.10", "roles": ["balancer"]}
    assert {id: secure(id) for id in ("web1", "lb1")} == {"web1": [], "lb1": [TLS]}


def test_who_is_let_in_during_maintenance_is_a_file_named_as_web_servers_write_the_address():
    pillar = {**minimal(), "allow": ["203.0.113.7", "2001:DB8:0::7", "127.0.0.1"]}
    found = app_spec.load(pillar).apps[0].maintenance
    names = ("127.0.0.1", "203.0.113.7", "2001:db8::7")
    assert found.let_in == tuple(f"/srv/shop/maintenance/allowed/{name}" for name in names)
    assert (found.flag, found.page) == ("/srv/shop/maintenance/on", "/srv/shop/maintenance/page.html")


def test_the_probes_of_a_host_are_let_in_without_a_word():
    assert completed().maintenance.let_in == ("/srv/shop/maintenance/allowed/127.0.0.1",)


def test_visitors_of_a_closed_app_come_back_after_five_minutes_unless_the_pillar_says_otherwise():
    assert completed().maintenance.retry_after == 300
    assert completed(maintenance={"retry_after": 60}).maintenance.retry_after == 60


def test_without_a_certificate_there_is_no_https():
    assert completed({"id": "web1"}).tls == ()


def test_the_secrets_file_gets_what_the_app_needs():
    values = app_spec.secret_values(app_spec.load(inventory("many")).app("shop"))
    assert values == {
        "SECURE_SSL_REDIRECT": False,
        "CURRENCIES": ["EUR", "CHF"],
        "PRICE_NOTE": 'net, 5 % off; "today" only',
        "ALLOWED_HOSTS": ["shop.example.com", "www.shop.example.com"],
        "DATABASE_URL": "postgresql://clerk:fa%2Fke%40%25%3A%20%22word%22@10.0.0.21:5432/store",
        "CACHE_URL": "rediss://shop:fake@10.0.0.21:6379/0?ssl_cert_reqs=none",
        "SECRET_KEY": "fake",
    }


def test_the_secrets_file_is_named_by_its_format_or_by_the_pillar():
    assert completed(secrets={"format": "toml"}).variables["SECRETS_FILE"] == "/etc/shop/secrets.toml"
    named = completed(secrets={"format": "ini", "path": "/etc/shop/shop.cfg"})
    assert named.variables["SECRETS_FILE"] == named.secrets_files[0].path == "/etc/shop/shop.cfg"
    assert "/etc/shop/shop.cfg" in named.config_files


def test_nothing_is_exported_unless_it_is_asked_for():
    app = completed()
    assert "ENVIRONMENT_FILE" not in app.variables
    assert [file.name for file in app.web.files] == ["gunicorn.conf.py"]
    assert app.slots[0].section["command"].startswith("/srv/shop/slots/blue/.venv/bin/gunicorn ")


@pytest.mark.parametrize("server", web_servers.SERVERS)
@pytest.mark.parametrize("manager", ["supervisor", "systemd"])
def test_where_values_are_exported_every_server_is_started_by_the_launcher(server, manager):
    plainly = completed(server=server, process_manager=manager, limits={"cpu": 150})
    app = completed(server=server, process_manager=manager, limits={"cpu": 150}, secrets={"export": True})
    for before, slot in zip(plainly.slots, app.slots, strict=True):
        launcher = f"{slot.link}/.venv/bin/python -I /etc/shop/launch.py "
        first = f"{slot.link}/.venv/bin/"
        commands = [
            section["command"] if manager == "supervisor" else section["Service"]["ExecStart"]
            for section in (before.section, slot.section)
        ]
        # After what limits the process, and before the server.
        assert commands[1] == commands[0].replace(first, launcher + first, 1)
    assert app.variables["ENVIRONMENT_FILE"] == "/etc/shop/environment.json"
    assert {"/etc/shop/launch.py", "/etc/shop/environment.json"} <= set(app.config_files)


def test_a_slot_says_which_secrets_files_its_process_reads():
    app = completed(secrets={"format": "xml", "export": True})
    assert app.slots[1].secrets_files == ("/etc/shop/secrets.xml", "/etc/shop/environment.json")


def test_an_ipv6_address_stands_in_brackets_in_a_url():
    values = app_spec.secret_values(app_spec.load(inventory("many")).app("web-log"))
    assert values["DATABASE_URL"] == "postgresql://web_log:fake@[2001:db8::22]:5432/web_log"


def test_an_app_with_a_database_of_its_own_may_bring_the_url():
    values = app_spec.secret_values(app_spec.load(inventory("many")).app("pages"))
    assert values["DATABASE_URL"] == "sqlite:////srv/pages/media/pages.sqlite3"


def test_a_host_is_given_the_files_of_its_roles_its_apps_and_their_services_and_of_those_it_serves():
    files = app_spec.secret_files(app_spec.load(inventory("many")))
    shop, log = ([f"secrets.{app}{of}" for of in ("", "_database", "_cache")] for app in ("shop", "web-log"))
    assert files == {
        "lb1": ["secrets.role_balancer"],
        "lb2": ["secrets.role_balancer"],
        "web1": ["secrets.role_app", shop[0], log[0], shop[1], log[1], shop[2], log[2]],
        "web2": ["secrets.role_app", *shop],
        "web3.example.com": ["secrets.role_app", *shop],
        # `pages` has neither database nor cache.
        "web4": ["secrets.role_app", log[0], "secrets.pages", log[1], log[2]],
        "db1": ["secrets.role_database", "secrets.role_cache", shop[1], shop[2]],
        "db2": ["secrets.role_database", log[1]],
        "cache1": ["secrets.role_cache", log[2]],
    }


def test_the_files_of_a_server_with_every_role_are_named_once():
    files = app_spec.secret_files(app_spec.load(inventory("one")))["server1"]
    assert sorted(files) == sorted(set(files))
    assert {"secrets.shop", "secrets.shop_database"} <= set(files)


def with_cache(**keys):
    pillar = minimal(**keys)
    pillar["hosts"]["db1"]["roles"] = ["database", "cache"]
    pillar["passwords"]["cache"] = {"shop": "p@ss"}
    return pillar


def test_an_app_has_a_cache_where_a_host_has_the_role():
    app = app_spec.load(with_cache()).apps[0]
    assert app.cache == app_spec.Cache("shop", "db1", "10.0.0.21", 6379, "shop", "shop:")
    url = "rediss://shop:p%40ss@10.0.0.21:6379/0?ssl_cert_reqs=none"
    assert app_spec.secret_values(app)["CACHE_URL"] == url
    plain = app_spec.plain(app)
    assert plain["caches"] == [plain["cache"]]


@pytest.mark.parametrize("pillar", [minimal(), with_cache(cache="none")])
def test_an_app_has_none_where_no_host_has_the_role_or_it_wants_none(pillar):
    app = app_spec.load(pillar).apps[0]
    assert (app.cache, app.cache_password, app_spec.plain(app)["caches"]) == (None, None, [])
    assert "CACHE_URL" not in app_spec.secret_values(app)


def test_without_a_cache_of_ours_an_app_has_a_url_of_its_own():
    pillar = {**minimal(), "secrets": {"shop": {"CACHE_URL": "redis://elsewhere"}}}
    assert app_spec.secret_values(app_spec.load(pillar).apps[0])["CACHE_URL"] == "redis://elsewhere"


def test_a_password_for_a_cache_that_no_host_serves_is_no_mistake_and_no_host_gets_it():
    pillar = minimal()
    pillar["passwords"]["cache"] = {"shop": "x"}
    fleet = app_spec.load(pillar, {"id": "web1"})
    assert "secrets.shop_cache" not in str(app_spec.secret_files(fleet))
    assert "passwords:cache:shop" not in fleet.apps[0].values


def test_the_password_of_a_cache_goes_to_the_hosts_of_the_app_and_of_the_cache():
    files = app_spec.secret_files(app_spec.load(inventory("many")))
    getting = [host for host, names in files.items() if "secrets.web-log_cache" in names]
    assert getting == ["web1", "web4", "cache1"]


def test_a_missing_password_is_told_when_it_is_asked_for():
    pillar = {**minimal(), "passwords": {}}
    with pytest.raises(app_spec.SpecError, match="passwords:database:shop: missing"):
        app_spec.secret_values(app_spec.load(pillar).apps[0])


def test_the_deploy_key_is_no_value_of_the_secrets_file():
    app = app_spec.load(inventory("many")).app("shop")
    assert app.source.deploy_key == "/etc/shop/deploy_key"
    assert app.deploy_key.reveal().startswith("-----BEGIN")
    assert app_spec.plain(app)["secret_keys"] == ["SECRET_KEY"]


def test_no_secret_is_in_the_plain_spec_nor_in_a_print_of_the_fleet():
    pillar = minimal()
    pillar["passwords"]["database"]["shop"] = "hunter2"
    pillar["secrets"] = {"shop": {"SECRET_KEY": "hunter2", "deploy_key": "hunter2"}}
    fleet = app_spec.load(pillar)
    prints = [repr(fleet), repr(dataclasses.asdict(fleet)), repr([app_spec.plain(app) for app in fleet.apps])]
    assert [text for text in prints if "hunter2" in text] == []


def test_the_longest_name_of_an_app_makes_a_socket_path_that_fits():
    app = completed(name="a" * 31)
    assert max(len(slot.target) for slot in app.slots) <= SOCKET_PATH_MAX


@pytest.mark.parametrize(
    ("os", "release", "version"),
    [("Debian", "12", "15"), ("Debian", "13.1", "17"), ("Ubuntu", "22.04", "14"), ("Ubuntu", "24.04", "16")],
)
def test_postgresql_is_the_one_of_the_distribution(os, release, version):
    assert app_spec.postgresql_version({"os": os, "osrelease": release}) == version


def test_an_unknown_distribution_is_told():
    with pytest.raises(app_spec.SpecError, match="Debian 1: take a host with one of Debian 12"):
        app_spec.postgresql_version({"os": "Debian", "osrelease": "1"})


def test_a_hundred_apps_on_fifty_hosts_load_quickly():
    pillar = minimal()
    pillar["hosts"].update({f"app{i}": {"address": f"10.0.1.{i + 1}", "roles": ["app"]} for i in range(50)})
    pillar["hosts"]["db1"]["max_connections"] = 10000
    app = {**pillar["apps"].pop("shop"), "database": "none"}
    pillar["passwords"] = {}
    pillar["apps"] = {f"app{i}": {**app, "domains": [f"{i}.example.com"]} for i in range(100)}
    start = time.process_time()
    app_spec.load(pillar)
    assert time.process_time() - start < 0.1


def test_during_the_deploy_of_one_app_a_host_sees_no_other():
    pillar = inventory("many")
    names = [app.name for app in app_spec.load(pillar).apps]
    host = app_spec.load(pillar).app(names[0]).hosts[0]
    assert [app.name for app in app_spec.load({**pillar, "only": names[0]}).apps_on(host)] == [names[0]]


def test_a_deploy_of_an_app_that_nobody_knows_is_a_mistake():
    with pytest.raises(app_spec.SpecError, match="only: no app has the name 'shpo': did you mean 'shop'?"):
        app_spec.load({**minimal(), "only": "shpo"})
