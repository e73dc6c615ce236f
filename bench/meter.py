"""What a command costs: retired instructions where the machine can count them, CPU seconds everywhere."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path


def instructions_are_counted():
    """Whether `perf` is there, and the machine lets it count: many virtual machines do not."""
    return bool(shutil.which("perf")) and cost(["true"])["instructions"] > 0


def cost(argv):
    """
    Run ``argv`` and return what it and all its children took: ``instructions`` (0 when they cannot be counted),
    ``cpu`` and ``wall`` seconds, and what it printed: ``output``.

    Raises RuntimeError when it fails.
    """
    with tempfile.NamedTemporaryFile("r") as counted, tempfile.TemporaryFile("w+") as output:
        argv = [*_perf(counted.name), *map(str, argv)]
        begin = time.monotonic()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        output.seek(0)
        printed = output.read()
        if process.returncode:
            raise RuntimeError(f"{' '.join(argv)}: exit code {process.returncode}\n{printed[-3000:]}")
        cpu = used.ru_utime + used.ru_stime
        return {"instructions": _counted(counted.name), "cpu": cpu, "wall": wall, "output": printed}


def _perf(file):
    return ["perf", "stat", "-x,", "-e", "instructions", "-o", file, "--"] if shutil.which("perf") else []


def _counted(file):
    """The number in perf's file: user space and kernel; 0 for "<not supported>"."""
    for line in Path(file).read_text().splitlines():
        value, *rest = line.split(",")
        if "instructions" in "".join(rest) and value.isdigit():
            return int(value)
    return 0
