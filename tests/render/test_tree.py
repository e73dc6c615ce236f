"""The whole tree for each example inventory: it renders, every requisite is found, and the order is as expected."""

import os
from pathlib import Path

import pytest
from conftest import HOSTS, INVENTORIES, inventory

GOLDEN = Path(__file__).parent / "golden"


def applied(call, path, host, *args):
    """``state.apply`` of a host with nothing done: the results in order."""
    results = call(inventory(path), host, "state.apply", *args, mock=True)
    assert isinstance(results, dict), results
    assert not {tag: result for tag, result in results.items() if result["result"] is False}
    return sorted(results.items(), key=lambda item: item[1]["__run_num__"])


@pytest.mark.parametrize(("path", "host"), HOSTS, ids=lambda value: getattr(value, "stem", value))
def test_a_host_gets_the_states_of_its_roles_in_order(call, path, host):
    lines = []
    for tag, result in applied(call, path, host):
        state, _, _, function = tag.split("_|-")
        lines.append(f"{result['__id__']} {state}.{function}\n")
    golden = GOLDEN / f"{path.stem}-{host}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text("".join(lines), encoding="utf-8")
    assert "".join(lines) == golden.read_text(encoding="utf-8"), "UPDATE_GOLDEN=1 writes the files anew"


def test_the_end_of_a_rotation_finds_all_that_it_needs_and_stops_nothing_before_the_newest_secrets_serve(call):
    ids = [result["__id__"] for _, result in applied(call, INVENTORIES[0].with_name("lab.yaml"), "web1", "app.alone")]
    assert ids.index("shop-secrets") < ids.index("shop-active") < ids.index("shop-retired")


def test_a_mistake_of_the_pillar_is_what_the_run_says(call):
    pillar = inventory(INVENTORIES[0].with_name("lab.yaml"))
    pillar["apps"]["shop"]["revison"] = pillar["apps"]["shop"].pop("revision")
    (said,) = call(pillar, "web1", "state.apply", mock=True)
    assert "apps:shop:revison: unknown key: did you mean 'revision'?" in said
