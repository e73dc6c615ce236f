"""Many real Debian hosts on one Linux machine: the test bed and the demo. See ``python3 -m lab --help``."""

from lab.lab import Lab
from lab.system import LabError

__all__ = ["Lab", "LabError"]
