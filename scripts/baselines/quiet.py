"""Whether other programs ran meanwhile.

It matters more than it seems to: the threads of OpenMP (PyTorch) wait for each other by spinning, so
that one busy core elsewhere makes them not twice but a hundred times slower. Such timings are worthless.
"""

import os
import time


class Meanwhile:
    """Counts the cores' time that others take from when it is made."""

    def __init__(self):
        self.began = clocks()

    def others(self):
        """How many cores others kept busy on average; None where the system does not tell."""
        now = clocks()
        if not now or not self.began:
            return None
        wall, machine, own = (b - a for a, b in zip(self.began, now))
        return max(machine - own, 0) / wall


def clocks():
    """Seconds: wall, busy time of all cores, busy time of this process."""
    try:
        with open("/proc/stat") as stat:
            user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    except (OSError, ValueError):
        return None
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), busy, sum(os.times()[:2])
