import itertools

import pytest

import sizing

MODELS = ("threads", "loop")
CPUS = (None, 1, 2, 3, 4, 8, 16, 64, 256)
MEMORY = (None, 256, 512, 1024, 2048, 4096, 16384, 262144)
CONNECTIONS = (None, 0, 1, 2, 5, 8, 45, 450)
MACHINES = list(itertools.product(MODELS, CPUS, MEMORY, (1, 3, 20), (False, True), CONNECTIONS))


def size(model="threads", cpus=4, memory=8192, apps=1, shares_host=False, connections=None, **given):
    return sizing.size(model, cpus, memory, apps, shares_host, connections, **given)


def test_processes_are_the_cores():
    assert size(cpus=8) == (8, 16)


@pytest.mark.parametrize("cpus", [None, 1])
def test_processes_are_two_at_least(cpus):
    assert size(cpus=cpus)[0] == 2


@pytest.mark.parametrize("grain", [None, "", "many", 0])
def test_without_grains_as_on_the_master_there_are_defaults(grain):
    assert size(cpus=grain, memory=grain) == (2, 16)


def test_a_gibibyte_has_room_for_two_slots_of_two_processes_beside_a_database():
    assert size(cpus=2, memory=1024, shares_host=True)[0] == 2


def test_a_small_memory_is_room_for_one_process_only():
    assert size(cpus=2, memory=512)[0] == 1


def test_both_slots_of_all_apps_fit_into_memory():
    for cpus, memory, apps, shares_host in itertools.product(CPUS, (2048, 4096, 16384), (1, 2, 5), (False, True)):
        workers = size(cpus=cpus, memory=memory, apps=apps, shares_host=shares_host)[0]
        assert workers == 1 or workers * apps * 2 * sizing.PROCESS <= memory * (0.5 if shares_host else 0.75)


def test_a_loop_has_one_thread_a_process():
    assert size(model="loop", cpus=4) == (4, 1)


def test_requests_at_once_are_no_more_than_connections():
    assert size(cpus=4, connections=10) == (4, 2)


def test_processes_are_no_more_than_connections():
    assert size(cpus=16, connections=5) == (5, 1)


@pytest.mark.parametrize("model", MODELS)
def test_explicit_numbers_win_against_every_limit(model):
    assert size(model=model, cpus=1, memory=256, connections=1, workers=9, threads=40) == (9, 40)


def test_explicit_processes_win_and_threads_fit_themselves_to_them():
    assert size(cpus=2, connections=20, workers=10) == (10, 2)


def test_explicit_threads_win_and_processes_fit_themselves_to_them():
    assert size(cpus=8, connections=40, threads=20) == (2, 20)


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="'fork' is not one of threads, loop"):
        size(model="fork")


@pytest.mark.parametrize(
    ("memory", "shares_host", "part"),
    [(1024, True, 128), (1024, False, 768), (64, True, 64), (None, True, 64), ("many", False, 64)],
)
def test_a_cache_fills_what_others_leave_of_a_host(memory, shares_host, part):
    assert sizing.cache(memory, shares_host) == part


def test_nothing_is_ever_zero():
    assert [machine for machine in MACHINES if min(sizing.size(*machine)) < 1] == []


def test_no_machine_makes_an_app_hold_more_than_its_connections():
    limited = [(sizing.size(*machine), machine[5]) for machine in MACHINES if machine[5]]
    assert [found for found in limited if found[0][0] * found[0][1] > found[1]] == []


@pytest.mark.parametrize("model", MODELS)
def test_more_cores_and_more_memory_never_make_fewer_processes(model):
    for connections, apps in itertools.product(CONNECTIONS, (1, 3)):
        table = [[size(model, cpus, mib, apps, connections=connections)[0] for mib in MEMORY[1:]] for cpus in CPUS[1:]]
        assert all(row == sorted(row) for row in table)
        assert all(list(column) == sorted(column) for column in zip(*table, strict=True))


@pytest.mark.parametrize("cpus", [1, 2, 4, 64])
@pytest.mark.parametrize("max_connections", [20, 100, 200, 1000])
def test_two_slots_of_the_whole_fleet_and_the_reserve_never_exceed_max_connections(cpus, max_connections):
    for hosts in range(1, 51):
        share = sizing.connections(max_connections, hosts)
        if share:
            workers, threads = size(cpus=cpus, memory=65536, connections=share)
            assert 2 * hosts * workers * threads + sizing.RESERVE <= max_connections


def test_postgresql_s_default_leaves_one_host_all_but_the_reserve():
    assert sizing.connections(100, 1) == 45


@pytest.mark.parametrize("clients", [1, 2, 45, 46, 500])
def test_what_is_needed_is_the_smallest_number_that_gives_each_one(clients):
    enough = sizing.needed(clients)
    assert (sizing.connections(enough, clients), sizing.connections(enough - 1, clients)) == (1, 0)


@pytest.mark.parametrize("max_connections", [0, 3, 10])
def test_a_database_smaller_than_the_reserve_has_none_to_give(max_connections):
    assert sizing.connections(max_connections, 1) == 0
