"""Https at the balancer, with certificates that nobody has signed."""

import json
import subprocess
import time

import pytest
from conftest import BALANCER, SITE, TLS, changed, failed

PILLAR = f"pillar={json.dumps({'apps': {'shop': {'tls': TLS}}})}"


@pytest.fixture(scope="module")
def secured(provisioned):
    """The site with v1, and what the balancer said when it got https; by http only afterwards."""
    provisioned.must_deploy("v1")
    provisioned.certify("lb1")
    try:
        yield provisioned, [provisioned.apply("lb1", *test, PILLAR) for test in (["test=True"], [], [])]
    finally:
        assert failed(provisioned.apply("lb1")) == {}


def test_a_plan_for_https_comes_true_and_a_second_run_changes_nothing(secured):
    _, (predicted, done, again) = secured
    assert failed(done) == {}
    assert changed(predicted) == changed(done) == {"nginx-config", "nginx-shop", "nginx-running"}
    assert changed(again) == set()


def test_a_visitor_by_http_is_sent_to_https_and_served_there(secured):
    argv = [
        "curl",
        "-sSk",
        "--location",
        "--max-time",
        "10",
        "--write-out",
        "%{num_redirects} %{url_effective} %{http_version}",
    ]
    names = [part for port in (80, 443) for part in ("--resolve", f"{SITE}:{port}:{BALANCER}")]
    done = subprocess.run([*argv, *names, f"http://{SITE}/healthz/?a=b"], capture_output=True, text=True, check=True)
    assert '"database": "ok"' in done.stdout
    assert done.stdout.endswith(f"1 https://{SITE}/healthz/?a=b 2")


def test_a_renewed_certificate_fails_no_request(secured):
    site, _ = secured
    # A reload closes the connections that idle; whoever sends on one just then sends again, as browsers do.
    with site.load(rate=1, scheme="https", options=["--resend"]) as users:
        for _ in range(3):
            site.renew("lb1")
            time.sleep(2)
    assert users["failed"] == 0, users["failures"]
    assert users["requests"] > 500
    assert users["resent"] <= 10


def test_a_certificate_that_is_missing_changes_nothing_and_is_named(secured):
    site, _ = secured
    gone = {**TLS, "certificate": "/etc/ssl/nowhere.pem"}
    results = site.apply("lb1", f"pillar={json.dumps({'apps': {'shop': {'tls': gone}}})}")
    assert "/etc/ssl/nowhere.pem" in failed(results)["nginx-config"]
    # Whoever asks gets the certificate from before.
    site.renew("lb1")
