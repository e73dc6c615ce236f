"""The orchestrations on a real master with real minions; the hosts' own work is done by doubles."""


def test_a_deploy_runs_its_steps_in_order_and_the_canary_goes_first(fleet):
    done = fleet.deploy("two")
    assert done.returncode == 0, done.stdout
    assert fleet.serving() == {"web1": "two", "web2": "two"}
