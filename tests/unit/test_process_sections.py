"""What each process manager is told about a process: read as Supervisor and systemd read it."""

import re
import shlex
from dataclasses import replace

import pytest

from process_sections import RETRIES, START_SECONDS, STARTS, STARTS_WITHIN, Process, section

PROCESS = Process(
    name="shop-blue",
    command=("/srv/shop/slots/blue/.venv/bin/gunicorn", "-c", "/etc/shop/gunicorn.conf.py", "shop.wsgi:application"),
    directory="/srv/shop/slots/blue",
    user="shop",
    group="shop",
    environment={"HOME": "/srv/shop", "LANG": "C.UTF-8"},
    log="/var/log/shop/blue.log",
    stop_signal="TERM",
    stop_seconds=40,
    writable=("/srv/shop/run", "/srv/shop/media"),
)
ODD = ("a b", "100%", "%h", "$HOME", "${HOME}", "it's", 'say "so"', "back\\slash", ";", "", "é")
LIMITED = replace(PROCESS, memory="512m", cpu=150)


def words(line, environment=None):
    """The words of a line of a unit as systemd makes them: quotes, then percent signs, then (of a command) dollars."""
    found = re.findall(r'"((?:\\.|[^"\\])*)"|(\S+)', line)
    texts = [plain or re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in found]
    assert not any(re.search(r"%(?!%)", text.replace("%%", "")) for text in texts)
    texts = [text.replace("%%", "%") for text in texts]
    if environment is None:
        return texts
    assert not any("$" in text.replace("$$", "") for text in texts)
    return [text.replace("$$", "$") for text in texts]


def unit(process):
    return section("systemd", process)["Service"]


def test_supervisor_gets_what_it_always_got():
    assert section("supervisor", PROCESS) == {
        "command": "/srv/shop/slots/blue/.venv/bin/gunicorn -c /etc/shop/gunicorn.conf.py shop.wsgi:application",
        "directory": "/srv/shop/slots/blue",
        "user": "shop",
        "environment": 'HOME="/srv/shop",LANG="C.UTF-8"',
        "autostart": "false",
        "autorestart": "true",
        "startsecs": "10",
        "startretries": "10",
        "stopsignal": "TERM",
        "stopwaitsecs": "40",
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": "/var/log/shop/blue.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "5",
    }


def test_every_argument_reaches_the_program_under_supervisor():
    assert shlex.split(section("supervisor", replace(PROCESS, command=("/bin/x", *ODD)))["command"]) == ["/bin/x", *ODD]


def test_every_argument_reaches_the_program_under_systemd():
    assert words(unit(replace(PROCESS, command=("/bin/x", *ODD)))["ExecStart"], environment={}) == ["/bin/x", *ODD]


def test_every_variable_reaches_the_program_under_systemd():
    environment = {f"KEY{number}": text for number, text in enumerate(ODD)}
    lines = unit(replace(PROCESS, environment=environment))["Environment"]
    assert [words(line) for line in lines] == [[f"{key}={text}"] for key, text in environment.items()]


def test_a_variable_of_several_lines_stays_one_line_of_the_unit():
    assert unit(replace(PROCESS, environment={"KEY": "a\nb"}))["Environment"] == ['"KEY=a\\nb"']


def test_percent_signs_in_paths_are_meant_as_such():
    service = unit(replace(PROCESS, directory="/srv/100%", log="/var/log/100%.log"))
    assert service["WorkingDirectory"] == "/srv/100%%"
    assert service["StandardOutput"] == "append:/var/log/100%%.log"


def test_supervisor_has_no_limits_so_the_command_runs_in_a_scope_that_has_them():
    options = section("supervisor", LIMITED)
    run, rest = options["command"].split(" -- ", 1)
    assert run == (
        "/usr/bin/systemd-run --scope --quiet --collect --property=Delegate=yes "
        "--property=MemoryMax=512M --property=MemorySwapMax=0 --property=CPUQuota=150%"
    )
    assert rest == (
        "/usr/bin/setpriv --reuid=shop --regid=shop --init-groups -- " + section("supervisor", PROCESS)["command"]
    )


def test_only_root_can_make_a_scope_so_supervisor_does_not_change_the_user():
    assert "user" not in section("supervisor", LIMITED)


def test_both_managers_set_the_same_limits():
    command = section("supervisor", LIMITED)["command"]
    limits = {key: unit(LIMITED)[key] for key in ("MemoryMax", "MemorySwapMax", "CPUQuota")}
    assert limits == {"MemoryMax": "512M", "MemorySwapMax": 0, "CPUQuota": "150%"}
    assert all(f"--property={key}={value} " in command for key, value in limits.items())


@pytest.mark.parametrize(
    ("limit", "keys"), [({"memory": "1g"}, {"MemoryMax", "MemorySwapMax"}), ({"cpu": 50}, {"CPUQuota"}), ({}, set())]
)
def test_only_what_is_limited_has_a_limit(limit, keys):
    service = unit(replace(PROCESS, **limit))
    assert keys == {"MemoryMax", "MemorySwapMax", "CPUQuota"} & service.keys()


@pytest.mark.parametrize("signal", ["TERM", "WINCH"])
def test_both_managers_stop_with_the_same_signal_in_the_same_time(signal):
    process = replace(PROCESS, stop_signal=signal)
    supervisor, service = section("supervisor", process), unit(process)
    assert service["KillSignal"] == f"SIG{supervisor['stopsignal']}"
    assert str(service["TimeoutStopSec"]) == supervisor["stopwaitsecs"]


def test_a_process_that_never_lives_long_enough_is_given_up_at_last():
    waits = section("systemd", PROCESS)["Service"]["RestartSec"]
    assert STARTS * (START_SECONDS + waits) <= STARTS_WITHIN


def test_both_managers_try_for_about_a_minute():
    supervisor = sum(range(1, RETRIES + 1))
    systemd = STARTS * (unit(PROCESS)["RestartSec"] + 1)
    assert abs(supervisor - systemd) < 10


def test_a_unit_may_write_only_where_the_process_must():
    service = unit(PROCESS)
    assert (service["ProtectSystem"], service["ProtectHome"]) == ("strict", True)
    assert service["ReadWritePaths"] == ["/srv/shop/run", "/srv/shop/media"]


def test_the_end_of_one_worker_is_not_the_end_of_all():
    assert unit(PROCESS)["OOMPolicy"] == "continue"


def test_units_are_never_enabled():
    assert set(section("systemd", PROCESS)) == {"Unit", "Service"}
