"""The configuration of Nginx as each host gets it, tested by Nginx itself where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import TREE, inventory

CHECK = TREE / "salt/nginx/check.sh"
INVENTORIES = Path(__file__).parent / "inventories"

needs_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")


@pytest.fixture
def nginx(tmp_path, call, certificates):
    """``nginx(inventory, host, ...)``: a folder like /etc/nginx of that host, with more keys in its pillar."""

    def render(name, host, **more):
        pillar = inventory(INVENTORIES / f"{name}.yaml") | more
        etc = tmp_path / "nginx"
        (etc / "sites").mkdir(parents=True)
        (etc / "mime.types").write_text("types { text/css css; }\n", encoding="utf-8")
        sites = call(pillar, host, "apps.sites")
        whole = {"proxies": call(pillar, host, "apps.proxies"), "certificates": call(pillar, host, "apps.tls")}
        files = [("nginx/nginx.conf", etc / "nginx.conf", whole)]
        files += [("balancer/site.conf", etc / f"sites/{site['app']}.conf", {"site": site}) for site in sites]
        if "app" in call(pillar, host, "apps.roles"):
            apps = call(pillar, host, "apps.specs")
            files += [("app/site_nginx.conf", etc / f"sites/{app['name']}.conf", {"app": app}) for app in apps]
        for source, target, context in files:
            render_file = ("slsutil.renderer", str(TREE / "salt" / source))
            text = str(call(pillar, host, *render_file, default_renderer="jinja", **context))
            text = text.replace("/etc/letsencrypt/live/shop.example.com", str(certificates))
            target.write_text(text, encoding="utf-8")
        return etc

    return render


def check(etc, target, text):
    candidate = etc.parent / "candidate.conf"
    candidate.write_text(text, encoding="utf-8")
    return subprocess.run(
        ["sh", CHECK, etc / target, candidate],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SLIPWAY_NGINX": str(etc)},
        capture_output=True,
        text=True,
    )


@needs_nginx
@pytest.mark.parametrize(
    ("name", "host"), [("lab", "web1"), ("lab", "lb1"), ("many", "web1"), ("many", "lb2"), ("one", "server1")]
)
def test_nginx_accepts_the_configuration_of_a_host(nginx, name, host):
    etc = nginx(name, host)
    result = check(etc, "nginx.conf", (etc / "nginx.conf").read_text(encoding="utf-8"))
    assert result.returncode == 0, result.stderr
    assert list((etc / "sites").iterdir())


@needs_nginx
def test_a_bad_site_is_refused_with_the_reason(nginx):
    result = check(nginx("lab", "web1"), "sites/shop.conf", "server { lisen 80; }\n")
    assert result.returncode != 0
    assert 'unknown directive "lisen"' in result.stderr


@needs_nginx
def test_a_site_is_tested_in_the_place_of_the_old_one(nginx):
    etc = nginx("lab", "web1")
    (etc / "sites/shop.conf").write_text("broken\n", encoding="utf-8")
    assert check(etc, "sites/shop.conf", "server { listen 80; server_name shop.test; }\n").returncode == 0
    assert (etc / "sites/shop.conf").read_text(encoding="utf-8") == "broken\n"


def test_a_host_that_runs_an_app_and_balances_has_one_site_of_it(call):
    assert call(inventory(INVENTORIES / "one.yaml"), "server1", "apps.sites") == []


@needs_nginx
def test_a_site_whose_certificate_is_missing_is_refused_with_its_name(nginx):
    etc = nginx("one", "server1")
    text = (etc / "sites/shop.conf").read_text(encoding="utf-8").replace("fullchain.pem", "nowhere.pem")
    result = check(etc, "sites/shop.conf", text)
    assert result.returncode != 0
    assert "nowhere.pem" in result.stderr


@pytest.mark.parametrize(
    ("name", "host", "secure"), [("one", "server1", True), ("many", "lb1", True), ("many", "web1", False)]
)
def test_https_is_where_visitors_arrive(nginx, name, host, secure):
    etc = nginx(name, host)
    for file in ("nginx.conf", "sites/shop.conf"):
        assert ("listen 443 ssl" in (etc / file).read_text(encoding="utf-8")) is secure


def test_a_balancer_spreads_over_every_host_of_an_app(nginx):
    text = (nginx("lab", "lb1") / "sites/shop.conf").read_text(encoding="utf-8")
    assert "server 10.213.7.11:80 " in text
    assert "server 10.213.7.12:80 " in text


@pytest.mark.parametrize("skipped", [["web2"], ["web1", "web2"]])
def test_a_balancer_sends_nothing_to_a_host_that_missed_what_is_deployed(nginx, skipped):
    etc = nginx("lab", "lb1", skipped={"shop": skipped})
    text = (etc / "sites/shop.conf").read_text(encoding="utf-8")
    servers = dict(line.strip().rstrip(";").split(" ", 2)[1:] for line in text.splitlines() if " server 10." in line)
    used, down = "max_fails=2 fail_timeout=10s", "down"
    assert servers == {"10.213.7.11:80": down if "web1" in skipped else used, "10.213.7.12:80": down}
    if shutil.which("nginx"):
        result = check(etc, "nginx.conf", (etc / "nginx.conf").read_text(encoding="utf-8"))
        assert result.returncode == 0, result.stderr


def test_an_app_host_believes_its_balancers_and_itself(nginx):
    text = (nginx("many", "web1") / "nginx.conf").read_text(encoding="utf-8")
    believed = [line.split()[1].rstrip(";") for line in text.splitlines() if "set_real_ip_from" in line]
    assert believed == ["127.0.0.1", "10.0.0.10", "10.0.0.9"]
