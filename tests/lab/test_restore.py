"""The way back over a migration that took something away: with the database as it was before."""

import re

from conftest import APP_HOSTS

UNSAFE = "unsafe-migration"
MIGRATION = "catalogue.0003_remove_product_description"
ORDER = (
    "INSERT INTO catalogue_order (product_id, quantity, created_at) SELECT min(id), {}, now() FROM catalogue_product"
)
# How many packets nobody else in these tests wants.
THEN, NOW = 4711, 4712


def sql(site, statement, database="shop"):
    argv = ["runuser", "-u", "postgres", "--", "psql", "-qtA", "-v", "ON_ERROR_STOP=1", database]
    return site.lab.run("db1", argv, input=statement).stdout.strip()


def ordered(site, database="shop"):
    wanted = f"SELECT DISTINCT quantity FROM catalogue_order WHERE quantity IN ({THEN}, {NOW}) ORDER BY 1"
    return [int(line) for line in sql(site, wanted, database).splitlines()]


def test_a_rollback_brings_the_database_back_and_users_see_the_app_or_the_page_and_nothing_else(serving_v1):
    site = serving_v1
    sql(site, ORDER.format(THEN))
    deployed = site.run_runner("rollout.deploy", "shop", UNSAFE, "allow_unsafe=True")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr[-4000:]
    sql(site, ORDER.format(NOW))
    refused = site.run_runner("rollout.rollback", "shop")
    assert (refused.returncode, MIGRATION in refused.stdout) == (1, True), refused.stdout
    with site.load(options=["--closed"]) as users:
        done = site.run_runner("rollout.rollback", "shop", "restore=True")
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]

    assert users["failed"] == 0, users["failures"]
    assert users["closed"] > 0
    assert set(users["releases"]) == {site.commit(UNSAFE), site.commit("v1")}
    assert {site.release_of(host) for host in APP_HOSTS} == {site.commit("v1")}

    command, kept = re.search(r"salt db1 (databases.drop) (shop_replaced_\w+)", done.stdout).groups()
    assert (ordered(site), ordered(site, kept)) == ([THEN], [THEN, NOW])
    entry = site.ledger()["history"][-1]
    assert (entry["revision"], entry["result"], entry["replaced"]) == ("v1", "rolled back", kept)
    assert entry["restored"].endswith(f"before-{site.commit(UNSAFE)}.dump")

    again = site.run_runner("rollout.rollback", "shop", "to=v1", "restore=True")
    assert (again.returncode, "nothing is in the way of v1" in again.stdout) == (1, True), again.stdout
    assert site.salt("db1", command, kept)["db1"] == [kept]
    assert site.salt("db1", "databases.names")["db1"] == ["postgres", "shop"]
