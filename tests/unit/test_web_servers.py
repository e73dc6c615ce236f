import ast
import configparser
import re
from pathlib import Path

import jinja2
import pytest

import web_servers

SALT = Path(__file__).parents[2] / "salt"
# mod_wsgi has a door of another kind: its own tests are about it.
ON_SOCKETS = sorted(name for name, server in web_servers.SERVERS.items() if server.door == "socket")
WEB = {"interface": "wsgi", "application": "shop.wsgi:application", "workers": 2, "threads": 8, "timeout": 30}


def command(name):
    config = f"/etc/shop/{web_servers.SERVERS[name].config}"
    return web_servers.command(name, "/srv/shop/slots/blue", config, "/srv/shop/run/blue.sock", "shop.wsgi:application")


def rendered(name, **changes):
    source = SALT / "app/servers" / web_servers.SERVERS[name].config
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    return environment.from_string(source.read_text("utf-8")).render(web=WEB | changes)


def uwsgi_options(**changes):
    """The options of uwsgi.ini as pairs, because some are there more than once."""
    lines = rendered("uwsgi", **changes).splitlines()
    return [tuple(line.split(" = ", 1)) for line in lines if " = " in line and not line.startswith(";")]


@pytest.mark.parametrize("name", ON_SOCKETS)
def test_a_slot_runs_a_program_of_its_own_venv(name):
    assert command(name)[0].startswith("/srv/shop/slots/blue/.venv/bin/")


@pytest.mark.parametrize("name", ON_SOCKETS)
def test_a_slot_opens_its_own_door(name):
    assert [argument.removeprefix("unix:") for argument in command(name)].count("/srv/shop/run/blue.sock") == 1


@pytest.mark.parametrize("name", ON_SOCKETS)
def test_a_slot_reads_the_config_file_of_its_server(name):
    assert f"/etc/shop/{web_servers.SERVERS[name].config}" in command(name)


@pytest.mark.parametrize("name", ON_SOCKETS)
def test_no_server_changes_into_a_folder_that_could_be_another_release_later(name):
    assert not any("chdir" in text or "working-dir" in text for text in (*command(name), rendered(name)))


@pytest.mark.parametrize("name", sorted(web_servers.SERVERS))
def test_every_package_is_pinned(name):
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", package) for package in web_servers.SERVERS[name].packages)


@pytest.mark.parametrize("name", sorted(web_servers.SERVERS))
def test_only_mod_wsgi_has_apache_in_front(name):
    assert (web_servers.SERVERS[name].front == "apache") == (name == "mod_wsgi")


def test_gunicorn_serves_wsgi_with_threads_and_asgi_with_uvicorn():
    workers = [command(name)[command(name).index("--worker-class") + 1] for name in ("gunicorn", "uvicorn")]
    assert workers == ["gthread", "uvicorn_worker.UvicornWorker"]


def test_whatever_serves_asgi_is_sized_as_an_event_loop():
    asgi = [name for name, server in web_servers.SERVERS.items() if "asgi" in server.interfaces]
    assert {web_servers.sizes(name, "asgi") for name in asgi} == {"loop"}


def test_whatever_serves_wsgi_is_sized_in_threads():
    wsgi = [name for name, server in web_servers.SERVERS.items() if "wsgi" in server.interfaces]
    assert {web_servers.sizes(name, "wsgi") for name in wsgi} == {"threads"}


@pytest.mark.parametrize("name", ON_SOCKETS)
def test_a_template_says_where_it_comes_from_in_its_first_line(name):
    assert (
        rendered(name)
        .splitlines()[0]
        .endswith(f"Managed by Salt: salt://app/servers/{web_servers.SERVERS[name].config}")
    )


@pytest.mark.parametrize("name", [name for name in ON_SOCKETS if web_servers.SERVERS[name].config.endswith(".py")])
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_config_file_in_python_is_python(name, interface):
    ast.parse(rendered(name, interface=interface))


@pytest.mark.parametrize(("name", "line"), [("gunicorn", "graceful_timeout = 30"), ("granian", "kill_timeout=30,")])
def test_a_server_waits_for_its_requests_as_long_as_one_may_take(name, line):
    assert line in rendered(name)


def test_uwsgi_lets_its_requests_finish_on_the_signal_that_stops_it():
    assert ("hook-master-start", "unix_signal:15 gracefully_kill_them_all") in uwsgi_options()


def test_uwsgi_kills_no_worker_before_nginx_has_given_up():
    assert int(dict(uwsgi_options(timeout=40))["harakiri"]) > 40 + 5


def test_uwsgi_imports_the_application_by_the_name_in_the_pillar():
    placeholders = [value for key, value in uwsgi_options(application="shop.wsgi:app") if key == "set-placeholder"]
    assert "app=from shop.wsgi import app as app" in placeholders


def test_what_uwsgi_evaluates_is_python():
    options = uwsgi_options()
    code = dict(options)["eval"]
    for key, value in (text.split("=", 1) for name, text in options if name == "set-placeholder"):
        code = code.replace(f"%({key})", value)
    assert "%(" not in code
    ast.parse(code)


def test_the_config_of_uwsgi_has_one_section_and_no_line_it_would_take_for_an_option():
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=(";",))
    parser.read_string("\n".join(line for line in rendered("uwsgi").splitlines() if not line.startswith(";")))
    assert parser.sections() == ["uwsgi"]


@pytest.mark.parametrize("name", ["gunicorn", "granian"])
def test_a_worker_takes_no_more_requests_than_it_has_threads(name):
    assert re.search(r'worker_connections = 8|backpressure=\{"wsgi": 8,', rendered(name))


def test_granian_replaces_the_socket_that_a_killed_process_has_left():
    text = rendered("granian")
    assert text.index("unlink(missing_ok=True)") < text.index("Granian(\n")
