"""A page in front of the app, while work goes on behind it."""

from conftest import ADDRESSES, BALANCER, SITE, TEST_NET, changed

FRONTS = (BALANCER, *ADDRESSES.values())
# The users of the load come from this machine, the strangers from a host of the lab.
LET_IN = f"{TEST_NET}.1"


def answers(site):
    """What a stranger gets from the balancer and from each app host: the status, and when to ask again."""
    words = ["curl", "-sS", "--max-time", "10", "-o", "/dev/null", "-H", f"Host: {SITE}"]
    words += ["--write-out", "%{http_code} %header{retry-after}"]
    return [site.lab.run("db1", [*words, f"http://{address}/"]).stdout.split() for address in FRONTS]


def test_strangers_get_the_page_while_a_deploy_goes_on_and_who_is_let_in_meets_no_failure(serving_v1):
    site = serving_v1
    with site.load() as users:
        try:
            site.maintain(True, allow=[LET_IN])
            before = answers(site)
            site.must_deploy("tweak")
            after, highstate = answers(site), changed(site.apply("lb1"))
        finally:
            site.maintain(False)
    assert before == after == [["503", "300"]] * len(FRONTS)
    assert highstate == set()
    assert users["failed"] == 0, users["failures"]
    assert set(users["releases"]) == {site.commit("v1"), site.commit("tweak")}
    assert answers(site) == [["200"]] * len(FRONTS)
