"""
Every server under both process managers at the same time: web1 has Supervisor, web2 systemd, and users are on both.

Each host's users come to its own address, and each host is deployed to by its own `state.apply`, with the pillar that
an orchestration passes: what the two have in common is only this machine.
"""

import concurrent.futures
import contextlib
import json
import time

import pytest
from conftest import ADDRESSES, APP_HOSTS, MATRIX, RATE, TLS, TREE, by_id, failed

MANAGERS = {"web1": "supervisor", "web2": "systemd"}
# Who has started every process of the app on each, if none was left behind.
FAMILIES = {"web1": {"supervisord"}, "web2": {"systemd"}}
SERVERS = ("gunicorn", "uwsgi", "uvicorn", "granian", "mod_wsgi")
# One for each web server in front.
FRONTS = ("gunicorn", "mod_wsgi")
# `make matrix` tries everything with every server, in about 20 minutes. Without it uvicorn stands for the two of ASGI,
# each broken release meets one of the fronts, and uwsgi and uvicorn, which share Nginx and the sockets with gunicorn,
# do what their own programs could spoil: take over from another server, and end while requests are at work.
TRIED = SERVERS if MATRIX else ("gunicorn", "uwsgi", "uvicorn", "mod_wsgi")
DEPLOYS = 10 if MATRIX else 3
SHORTENED = () if MATRIX else ("uwsgi", "uvicorn")
# What a slot does whatever runs in it is seen with gunicorn.
ALIKE = () if MATRIX else SERVERS[1:]

# The releases that take turns. Three, because the one before the last is still warm, and going back is no deploy.
GOOD = ("tweak", "patient", "v1")
# What a deploy applies to an app host; all of the app, where what is around it changes as well.
DEPLOY, WHOLE = "app.stage,app.activate,app.retire", "app"

# Seconds as short as the tests bear: a host of the lab starts the shop in 2.
# No deploy of the master is behind what is applied here: nobody could confirm it. In its first second a release that
# two hosts start at once on two cores is slow (1.2 s); test_watch.py has those that are slow by themselves.
ROLLOUT = {"watch": 1, "confirm": 0, "slowdown": 1000}
SHORT = {"rollout": ROLLOUT, "keep_warm": 120}
START_TIMEOUT = 6
LIFE_OF_DIES = 5
TIMEOUT = 2
# Far above the shop with two workers, far below the 600 MB of the release that leaks.
MEMORY = "256m"
# ms: what the issue grants over the slowest endpoint; and seconds without a front while Nginx and Apache change places.
GRANTED = 1000
LONGEST_GAP = 3
# ms over the slowest endpoint while a front takes a new certificate. Where all of its processes are busy Apache starts
# the first new one within a second, and that one takes a moment (salt/apache/slipway.conf).
RELOADED = {"gunicorn": GRANTED, "mod_wsgi": 1500}
# On each of two hosts: half of the load.
HALF = RATE / 2
# Under ASGI each request makes a thread and a connection to the database with TLS: half the load is more than two cores
# carry for two hosts (their load average was 40).
ASGI_RATE = RATE / 5
RATES = {"uvicorn": ASGI_RATE}

# What the failed activation says of each. Not of `leaks`: there it depends on which process the kernel kills.
BROKEN = {
    "broken-import": "No module named 'tea_analytics'",
    "answers-500": "status 500",
    "old-id": "release 000000000000 answered",
    "hangs": f"within {START_TIMEOUT} s",
    "dies": "the traffic went back to where it was",
    "leaks": "it got no traffic",
}
# What is wanted of the app besides, so that the mistake shows within seconds.
CIRCUMSTANCES = {
    **dict.fromkeys(
        ("answers-500", "old-id", "hangs"), {"health": {"path": "/healthz/", "start_timeout": START_TIMEOUT}}
    ),
    "dies": {"rollout": {**ROLLOUT, "watch": LIFE_OF_DIES + 2}},
    "leaks": {"limits": {"memory": MEMORY}},
}


class Rig:
    """Both hosts, each with its process manager, and the server that they have at the moment."""

    def __init__(self, site, say):
        self.site, self.say, self.server = site, say, "gunicorn"

    def apply(self, host, revision, sls=DEPLOY, secrets=None, secrets_file=None, inventory=None, **app):
        """
        Apply to a host what brings it a revision; keywords are keys of the app's pillar. {state id: result}.

        ``secrets`` are more of its secrets, ``secrets_file`` is its key of that name.
        """
        wanted = {**SHORT, "server": self.server, "process_manager": MANAGERS[host], **app}
        wanted |= {"secrets": secrets_file} if secrets_file else {}
        release = {"releases": {"shop": self.site.release(revision)}, "only": "shop"}
        pillar = {**release, "apps": {"shop": wanted}, "hosts": inventory or {}}
        pillar |= {"secrets": {"shop": secrets}} if secrets else {}
        return by_id(self.site.salt(host, "state.apply", sls, f"pillar={json.dumps(pillar)}")[host])

    def must(self, host, revision, **options):
        """``apply``, and nothing may fail."""
        results = self.apply(host, revision, **options)
        assert failed(results) == {}, f"{host}, {self.server}, {revision}"
        assert self.site.release_of(host) == self.site.commit(revision)
        return results

    def both(self, work, *arguments):
        """``work(host, ...)`` for both hosts at once -> {host: what it returned}."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            jobs = {host: pool.submit(work, host, *arguments) for host in APP_HOSTS}
            return {host: job.result() for host, job in jobs.items()}

    @contextlib.contextmanager
    def load(self, what, options=(), scheme="http", rate=None):
        """Users on both hosts; yields {host: summary}, filled when the block has ended, and reports the numbers."""
        with self.site.loads(ADDRESSES, rate or self.rate, options, scheme) as users:
            yield users
        for host, met in users.items():
            numbers = ", ".join(f"{name} {met[name]} ms" for name in ("p50", "p99", "worst"))
            line = f"{self.server:<9} {MANAGERS[host]:<10} {what:<28} {met['failed']} of {met['requests']} failed"
            self.say(f"{line}; {numbers}; slowest {met['slowest']}")

    @property
    def rate(self):
        return RATES.get(self.server, HALF)

    def serving(self, host):
        return self.site.salt(host, "slots.serving", "shop")[host]

    def processes(self, host):
        """The processes of the app that run on a host: {pid: who started it}."""
        script = (TREE / "tests/lab/owners.py").read_text()
        return json.loads(self.site.lab.run(host, ["/opt/salt/bin/python", "-"], input=script).stdout)

    def owners(self, host):
        """Who started the processes of the app that run on a host."""
        return set(self.processes(host).values())


def unharmed(users, granted=GRANTED):
    """No request failed, and none took longer than the slowest endpoint takes anyway and ``granted``."""
    for host, met in users.items():
        assert met["failed"] == 0, (host, met["failures"])
        assert met["requests"] > 20
        assert met["slowest"]["ms"] <= met["slowest_endpoint"] + granted, (host, met["slowest"])
    return True


@pytest.fixture(scope="module")
def rig(request, provisioned):
    """The two hosts with v1; afterwards they are again as the pillar wants them."""
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    try:
        provisioned.must_deploy("v1")
        yield Rig(provisioned, lambda line: terminal.write_line(f"  {line}"))
    finally:
        done = provisioned.provision()
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        provisioned.must_deploy("v1")


@pytest.fixture(scope="module", params=TRIED)
def served(request, rig):
    """Both hosts with a server, changed to it under load: what the users met meanwhile."""
    before, rig.server = rig.rate, request.param
    with rig.load("change of server", rate=min(before, rig.rate)) as users:
        rig.both(lambda host: rig.must(host, "v1", sls=WHOLE))
    return users


def test_another_process_manager_fails_no_request_and_leaves_nothing_of_the_one_before(rig):
    owners = []
    with rig.load("change of process manager") as users:
        for manager in ("systemd", "supervisor", "systemd"):
            rig.must("web2", "v1", sls=WHOLE, process_manager=manager, keep_warm=0)
            owners.append(rig.owners("web2"))
    assert owners == [{"systemd"}, {"supervisord"}, {"systemd"}]
    assert unharmed(users)


def test_a_host_that_has_grown_gets_more_workers_and_fails_no_request(rig):
    def converge():
        """How many workers serve, after a highstate of the app that leaves no slot warm."""
        rig.must("web1", "v1", sls=WHOLE, keep_warm=0)
        return len(rig.processes("web1")) - 1  # Gunicorn's master

    numbers = [converge()]
    with rig.load("a host that has grown") as users:
        try:
            rig.site.salt("web1", "grains.set", "num_cpus", "4")
            numbers.append(converge())
        finally:
            rig.site.salt("web1", "grains.delkey", "num_cpus")
        numbers.append(converge())
    assert numbers == [2, 4, 2]
    assert unharmed(users)


def test_another_server_fails_no_request(rig, served):
    if rig.server != "mod_wsgi":
        assert unharmed(served)
        return
    # Nginx and Apache change places at port 80 of a host that stands alone.
    for host, met in served.items():
        times = [failure["at"] for failure in met["failures"]]
        gap = max(times) - min(times) if times else 0
        rig.say(f"{rig.server:<9} {MANAGERS[host]:<10} nobody at port 80 for {gap:.1f} s")
        assert gap <= LONGEST_GAP


def test_a_unit_of_systemd_is_hardened(rig, served):
    unit = f"shop-{rig.serving('web2')['slot']}.service"
    # --threshold: of 100, where 30 is what is printed as 3.0.
    done = rig.site.lab.run("web2", ["systemd-analyze", "security", "--no-pager", "--threshold=30", unit], check=False)
    rig.say(f"{rig.server:<9} {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout[-500:]


def test_a_graceful_restart_of_the_front_fails_no_request(rig, served):
    if rig.server not in FRONTS:
        pytest.skip("it has the same Nginx in front as gunicorn")
    # As after a rotation of its logs.
    front = "apache2" if rig.server == "mod_wsgi" else "nginx"
    with rig.site.load(HALF) as users:
        for _ in range(5):
            rig.both(lambda host: rig.site.lab.run(host, ["systemctl", "reload", front]))
            rig.site.lab.run("web1", ["sleep", "1"])
    rig.say(f"{rig.server:<9} 5 gracefuls of {front} on both hosts: {users['failed']} of {users['requests']} failed")
    assert users["failed"] == 0, users["failures"]


def test_a_renewed_certificate_fails_no_request(rig, served):
    if rig.server not in FRONTS:
        pytest.skip("it has the same Nginx in front as gunicorn")
    if rig.server == "gunicorn" and not MATRIX:
        pytest.skip("make matrix runs it; without it Nginx renews certificates in test_tls.py")
    # As if no balancer were in front: then it is here that visitors arrive.
    alone = {"inventory": {"lb1": {"roles": ["app"]}}, "hosts": list(APP_HOSTS), "sls": WHOLE}

    def secure(host):
        rig.site.certify(host)
        assert failed(rig.apply(host, "v1", tls=TLS, **alone)) == {}
        # The probes of the next release pass a front that sends everybody to https.
        assert failed(rig.apply(host, "tweak", tls=TLS, **{**alone, "sls": DEPLOY})) == {}

    rig.both(secure)
    # A reload closes the connections that idle; whoever sends on one just then sends again, as browsers do.
    with rig.load("3 renewed certificates", scheme="https", options=["--resend"]) as users:
        for _ in range(3):
            rig.both(rig.site.renew)
            time.sleep(2)
    rig.say(f"{rig.server:<9} sent again: {[met['resent'] for met in users.values()]}")
    rig.both(lambda host: rig.must(host, "v1", sls=WHOLE))
    assert unharmed(users, RELOADED[rig.server])


def test_deploys_in_a_row_fail_no_request(rig, served):
    if rig.server in SHORTENED:
        pytest.skip("make matrix runs it")

    def deploys(host):
        for number in range(DEPLOYS):
            rig.must(host, GOOD[number % len(GOOD)])

    with rig.load(f"{DEPLOYS} deploys") as users:
        rig.both(deploys)
    assert unharmed(users)
    assert {host: rig.owners(host) for host in APP_HOSTS} == FAMILIES


def test_a_way_back_fails_no_request_and_to_a_warm_slot_takes_less_than_a_second(rig, served):
    if rig.server in ALIKE:
        pytest.skip("make matrix runs it")

    def there_and_back(host):
        rig.must(host, "v1")
        rig.must(host, "tweak")
        warm = rig.must(host, "v1")["shop-active"]["duration"]
        rig.must(host, "tweak", keep_warm=0)
        return warm, rig.must(host, "v1")["shop-active"]["duration"]

    with rig.load("rollbacks, warm and cold") as users:
        milliseconds = rig.both(there_and_back)
    rig.say(f"{rig.server:<9} back to a warm slot, to a stopped one: {milliseconds} ms")
    assert unharmed(users)
    assert {host: warm < 1000 < cold for host, (warm, cold) in milliseconds.items()} == dict.fromkeys(APP_HOSTS, True)


def test_a_changed_secret_goes_through_the_other_slot_and_fails_no_request(rig, served):
    if rig.server in ALIKE:
        pytest.skip("make matrix runs it")

    def change(host):
        before = rig.serving(host)
        rig.must(host, "v1", secrets={"SECRET_KEY": "another-fake-key-for-local-testing-0123456789abcdefghij"})
        after = rig.serving(host)
        rig.must(host, "v1")
        return after["slot"] != before["slot"], after["release"] == before["release"]

    with rig.load("changed secret, and back") as users:
        rig.both(lambda host: rig.must(host, "v1"))
        answers = rig.both(change)
    assert unharmed(users)
    assert answers == dict.fromkeys(APP_HOSTS, (True, True))


def test_exported_values_are_in_the_environment_of_the_app_alone_and_any_format_serves(rig, served):
    if rig.server in SHORTENED:
        pytest.skip("make matrix runs it")
    key = "an-exported-fake-key-with-'quotes'-for-local-testing-0123456789abcdef"
    ways = {"web1": ("env", "shop.settings.environment"), "web2": ("xml", "shop.settings.production")}

    def read(host, files, *user):
        script = f"cat {files} 2>/dev/null | tr '\\0' '\\n'"
        return rig.site.lab.run(host, [*user, "sh", "-c", script]).stdout

    def export(host):
        format, settings = ways[host]
        file = {"format": format, "export": True}
        rig.must(host, "v1", secrets={"SECRET_KEY": key}, secrets_file=file, settings=settings)
        own = " ".join(f"/proc/{pid}/environ" for pid in rig.processes(host))
        return {
            "its own environment": key in read(host, own),
            "its environment for another user": key in read(host, own, "runuser", "-u", "nobody", "--"),
            "arguments": key in read(host, "/proc/[0-9]*/cmdline"),
            "Supervisor's or systemd's files": key in read(host, "/etc/supervisor/conf.d/* /etc/systemd/system/shop-*"),
        }

    with rig.load("exported values") as users:
        found = rig.both(export)
        rig.both(lambda host: rig.must(host, "v1"))
    only = {place: place == "its own environment" for place in found["web1"]}
    assert found == {"web1": only, "web2": only}
    assert unharmed(users)


def test_a_broken_release_fails_no_request_and_what_served_goes_on(rig, served):
    if rig.server in SHORTENED:
        pytest.skip("make matrix runs it")
    tried = [tag for number, tag in enumerate(BROKEN) if MATRIX or FRONTS[number % 2] == rig.server]

    def attempts(host):
        rig.must(host, "v1")
        said = {}
        for broken in tried:
            # The ASGI application does not import the module that breaks the other.
            tag = "broken-asgi" if (rig.server, broken) == ("uvicorn", "broken-import") else broken
            results = rig.apply(host, tag, **CIRCUMSTANCES.get(broken, {}))
            said[broken] = failed(results).get("shop-active", "it did not fail")
            assert rig.site.release_of(host) == rig.site.commit("v1"), (host, broken)
        return said

    with rig.load(f"{len(tried)} broken releases") as users:
        said = rig.both(attempts)
    unsaid = {host: {tag: told[tag] for tag in tried if BROKEN[tag] not in told[tag]} for host, told in said.items()}
    assert unsaid == {"web1": {}, "web2": {}}
    assert {host: rig.owners(host) for host in APP_HOSTS} == FAMILIES
    assert unharmed(users)
    for met in users.values():
        assert set(met["releases"]) <= {rig.site.commit("v1"), rig.site.commit("dies")}


def test_requests_within_the_timeout_finish_and_longer_ones_are_cut_and_named(rig, served):
    # Nginx gives a request 5 s more than the app's time-out; this one is a little shorter than that.
    longer, app = TIMEOUT + 4.5, {"timeout": TIMEOUT, "keep_warm": 0}
    if rig.server != "uvicorn":
        app["threads"] = 16

    def flip(host):
        changed = {"SECRET_KEY": "a-third-fake-key-for-local-testing-0123456789abcdefghijkl"}
        return rig.must(host, "patient", secrets=changed, **app)["shop-retired"]["comment"]

    rig.both(lambda host: rig.must(host, "patient", **app))
    # One every 2 s: the flip cuts those that have begun within the last 4.5.
    with rig.load("time-out", options=["--slow", str(longer)]) as users:
        rig.both(lambda host: rig.site.lab.run(host, ["sleep", str(longer)]))
        comments = rig.both(flip)
    for host, met in users.items():
        # The others take at most the 2 s of the time-out.
        assert {failure["kind"] for failure in met["failures"]} == {f"slow {longer:g}"}, met["failures"]
        assert f"cut at the limit of {TIMEOUT} s: GET /slow/ after" in comments[host]


@pytest.mark.parametrize("server", ["uvicorn", "granian"] if MATRIX else ["uvicorn"])
def test_websockets_stay_open_until_the_timeout_after_a_deploy(rig, server):
    rig.server, users_each = server, 3
    app = {"interface": "asgi", "timeout": TIMEOUT, "keep_warm": 0}
    changed = {"SECRET_KEY": "a-fourth-fake-key-for-local-testing-0123456789abcdefghijk"}

    def flip(host):
        rig.must(host, "live", secrets=changed, **app)
        return float(rig.site.lab.run(host, ["stat", "-c", "%.Y", "/srv/shop/run/web"]).stdout)

    rig.both(lambda host: rig.must(host, "live", sls=WHOLE, **app))
    with rig.load("websockets", options=["--websockets", str(users_each)], rate=ASGI_RATE) as users:
        flips = rig.both(flip)
    assert unharmed(users)
    for host, met in users.items():
        talks = met["websockets"]
        assert (talks["failed"], len(talks["cut"]), talks["opened"]) == (0, users_each, 2 * users_each), talks
        kept = [met["began"] + cut["at"] - flips[host] for cut in talks["cut"]]
        rig.say(
            f"{server:<9} {MANAGERS[host]:<10} websockets were cut {min(kept):.1f} to {max(kept):.1f} s after the flip"
        )
        assert min(kept) >= TIMEOUT - 0.1
