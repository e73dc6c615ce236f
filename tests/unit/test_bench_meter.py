"""What the benchmarks count with."""

import sys

import pytest


@pytest.fixture
def meter(load):
    return load("bench/meter.py")


def test_the_instructions_of_perf_are_read(meter, tmp_path):
    file = tmp_path / "perf"
    file.write_text("# started on Sun Nov 22 20:47:41 2026\n\n544241,,instructions,232410,100.00,,\n")
    assert meter._counted(file) == 544241


def test_a_machine_that_cannot_count_instructions_gives_none(meter, tmp_path):
    file = tmp_path / "perf"
    file.write_text("<not supported>,,instructions,0,100.00,,\n")
    assert meter._counted(file) == 0


def test_without_perf_the_command_is_run_as_it_is(meter, monkeypatch):
    monkeypatch.setattr(meter.shutil, "which", lambda program: None)
    result = meter.cost(["echo", "hello"])
    assert (result["output"], result["instructions"]) == ("hello\n", 0)


def test_the_cpu_time_of_children_counts(meter, monkeypatch):
    monkeypatch.setattr(meter.shutil, "which", lambda program: None)
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    assert meter.cost([sys.executable, "-c", child])["cpu"] >= 0.2


def test_a_command_that_fails_says_what_it_printed(meter, monkeypatch):
    monkeypatch.setattr(meter.shutil, "which", lambda program: None)
    with pytest.raises(RuntimeError, match="exit code 3\nno such thing"):
        meter.cost(["sh", "-c", "echo no such thing; exit 3"])
