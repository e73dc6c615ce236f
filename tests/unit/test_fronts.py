import os
import signal
import socket

import pytest
from salt.exceptions import CommandExecutionError

import command

MAIN_PIDS = {"nginx": 101, "apache": 202}
NAMES = {"nginx.service": "nginx", "apache2.service": "apache"}


class Host:
    """Two web servers and one port, with systemd as `command.run` shows it."""

    def __init__(self):
        self.installed = {"nginx", "apache"}
        self.enabled = {"nginx", "apache"}
        self.active = {"nginx"}
        self.listening = "nginx"
        self.broken = set()
        self.drains = False
        self.done = []

    def run(self, argv, what="", **_others):
        if argv[:2] == ["systemctl", "show"]:
            return "\n\n".join(self._shown(unit) for unit in argv[3:]) + "\n"
        self.done.append(" ".join(argv))
        if argv[0] == "journalctl":
            return "AH00072: make_sock: could not bind\n"
        if argv[0] == "systemctl":
            getattr(self, f"_{argv[1]}")(NAMES[argv[2]], what)
        return ""

    def kill(self, pid, number):
        front = next(front for front, main in MAIN_PIDS.items() if main == pid)
        self.done.append(f"{signal.Signals(number).name} {front}")
        self.listening = ""
        if not self.drains:
            self.active.discard(front)

    def _shown(self, unit):
        front = NAMES[unit]
        state = {
            "Id": unit,
            "LoadState": "loaded" if front in self.installed else "not-found",
            "ActiveState": "active" if front in self.active else "inactive",
            "UnitFileState": "enabled" if front in self.enabled else "disabled",
            "MainPID": MAIN_PIDS[front] if front in self.active else 0,
        }
        return "\n".join(f"{key}={value}" for key, value in state.items())

    def _start(self, front, what):
        # As systemd does: what is active need not be started.
        if front in self.broken:
            raise CommandExecutionError(f"{what} failed (exit code 1)")
        if front not in self.active:
            self._restart(front, what)

    def _restart(self, front, _what):
        self.active.add(front)
        self.listening = front

    def _enable(self, front, _what):
        self.enabled.add(front)

    def _disable(self, front, _what):
        self.enabled.discard(front)


@pytest.fixture
def host(monkeypatch):
    host = Host()
    monkeypatch.setattr(command, "run", host.run)
    monkeypatch.setattr(os, "kill", host.kill)
    return host


@pytest.fixture
def fronts(load, host, monkeypatch):
    module = load("_modules/fronts.py")
    sockets = {str(pid): {front} for front, pid in MAIN_PIDS.items()}
    monkeypatch.setattr(module, "_listening", lambda: {host.listening} - {""})
    monkeypatch.setattr(module, "_sockets", lambda pid: sockets.get(pid, set()))
    monkeypatch.setattr(module, "CLOSING", 0.05)
    monkeypatch.setattr(module, "OPENING", 0.05)
    return module


def test_the_holder_is_who_listens(fronts, host):
    assert fronts.holder() == "nginx"
    host.listening = ""
    assert fronts.holder() == ""


def test_who_answers_its_last_requests_is_not_the_holder(fronts, host):
    host.active = {"nginx", "apache"}
    host.listening = "apache"
    assert fronts.holder() == "apache"


def test_the_other_one_is_ended_in_good_order_before_this_one_starts(fronts, host):
    assert fronts.take("apache")["front"] == {"old": "nginx", "new": "apache"}
    assert host.listening == "apache"
    assert host.done[:3] == ["apache2ctl configtest", "SIGQUIT nginx", "systemctl start apache2.service"]


def test_apache_too_is_ended_in_good_order(fronts, host):
    host.active, host.listening = {"apache"}, "apache"
    fronts.take("nginx")
    assert host.done[:3] == ["nginx -t -q", "SIGWINCH apache", "systemctl start nginx.service"]


def test_one_that_still_answers_its_last_requests_is_started_again(fronts, host):
    host.drains = True
    fronts.take("apache")
    fronts.take("nginx")
    assert host.listening == "nginx"
    assert "systemctl restart nginx.service" in host.done


def test_a_boot_starts_the_one_that_has_the_port(fronts, host):
    assert fronts.take("apache")["boot"] == {"nginx": {"old": "enabled", "new": "disabled"}}
    assert host.enabled == {"apache"}


def test_how_long_nobody_listened_is_told(fronts):
    assert 0 <= fronts.take("apache")["closed"] < 1


def test_a_second_time_nothing_is_done(fronts, host):
    fronts.take("apache")
    host.done.clear()
    assert fronts.take("apache") == {}
    assert host.done == []


def test_what_is_pending_is_what_is_then_changed(fronts, host):
    pending = fronts.pending("apache")
    assert host.done == []
    changes = fronts.take("apache")
    assert {**pending, "closed": changes["closed"]} == changes
    assert fronts.pending("apache") == {}


def test_what_is_not_installed_is_not_asked_for(fronts, host):
    host.installed = {"nginx"}
    host.enabled = {"nginx"}
    assert fronts.pending("nginx") == {}


def test_one_that_is_not_installed_is_refused_by_name(fronts, host):
    host.installed = {"nginx"}
    with pytest.raises(CommandExecutionError, match=r"apache2\.service is not installed: apply the state apache first"):
        fronts.take("apache")
    assert host.listening == "nginx"


def test_a_configuration_that_is_refused_ends_nobody(fronts, host, monkeypatch):
    def refuse(argv, **others):
        if argv == ["apache2ctl", "configtest"]:
            raise CommandExecutionError("Syntax error on line 1")
        return host.run(argv, **others)

    monkeypatch.setattr(command, "run", refuse)
    with pytest.raises(CommandExecutionError, match="Syntax error on line 1"):
        fronts.take("apache")
    assert (host.listening, host.done) == ("nginx", [])


def test_one_that_does_not_start_gives_the_port_back(fronts, host):
    host.broken = {"apache"}
    with pytest.raises(CommandExecutionError, match="could not bind\nnginx has been started again, and has port 80"):
        fronts.take("apache")
    assert host.listening == "nginx"
    assert "nginx" in host.enabled


def test_a_port_that_somebody_else_has_is_left_to_them(fronts, host):
    host.active, host.listening = set(), "somebody"
    with pytest.raises(CommandExecutionError, match="Port 80 is still taken"):
        fronts.take("apache")
    assert host.listening == "somebody"


def test_where_nobody_listens_one_is_started(fronts, host):
    host.active, host.listening = set(), ""
    assert fronts.take("apache")["front"] == {"old": "", "new": "apache"}
    assert host.listening == "apache"


def test_a_listening_socket_is_found_in_the_process_that_has_it(load, monkeypatch):
    module = load("_modules/fronts.py")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(module, "PORT", server.getsockname()[1])
        found = module._listening()
        assert len(found) == 1
        assert found <= module._sockets(str(os.getpid()))
    assert module._listening() == set()


def test_a_process_that_is_gone_has_no_sockets(load):
    assert load("_modules/fronts.py")._sockets("0") == set()
