"""The order in which hosts get a release: a canary first, then the rest in waves. And how that is told."""

# Names, and waves, that a sentence lists before it only counts them.
LISTED = 8


def first(hosts, canary):
    """
    The hosts that go first, in the order of the inventory.

    canary
        How many, or their names.
    """
    if isinstance(canary, int):
        return list(hosts[:canary])
    named = set(canary)
    return [host for host in hosts if host in named]


def stand_ins(canary, hosts):
    """As many of ``hosts`` as ``canary`` names, those that it names before all others; in the order of ``hosts``."""
    named = [host for host in hosts if host in canary]
    others = [host for host in hosts if host not in canary]
    chosen = {*named, *others[: len(canary) - len(named)]}
    return [host for host in hosts if host in chosen]


def size(count, wave):
    """
    How many hosts a wave has.

    count
        How many hosts the app has.
    wave
        How many hosts, or a part of ``count`` as ``25%``: rounded up, so that it is never 0.
    """
    return wave if isinstance(wave, int) else -(-count * int(wave.rstrip("%")) // 100)


def waves(hosts, canary, size):
    """
    ``hosts`` in the groups that are activated one after the other; each host is in exactly one.

    hosts
        Names, in the order of the inventory, which the waves keep.
    canary
        The names of those that go first; none for no canary.
    size
        How many hosts a wave after the canary has, 1 or more.
    """
    early = set(canary)
    rest = [host for host in hosts if host not in early]
    return [wave for wave in (list(canary), *(rest[at : at + size] for at in range(0, len(rest), size))) if wave]


def named(hosts):
    """A group of hosts in words, short however many there are: ``web1 + web2 + ... (1250 hosts)``."""
    if len(hosts) <= LISTED:
        return " + ".join(hosts)
    return f"{' + '.join(hosts[:2])} + ... ({len(hosts)} hosts)"


def order(groups, between=0):
    """The groups in words, with the seconds ``between`` them, short however many there are."""
    then = f", then after {between} s " if between else ", then "
    if len(groups) <= LISTED:
        return then.join(named(group) for group in groups)
    return f"{then.join(named(group) for group in groups[:2])}, and so on in {len(groups)} groups"


def words(waves):
    """``{step: words}`` of the waves of a plan (``id``, ``hosts``, ``pauses``), short however many there are."""
    told = {}
    for wave in waves[:LISTED]:
        told |= {pause["id"]: f"{pause['seconds']} s" for pause in wave["pauses"]}
        told[wave["id"]] = named(wave["hosts"])
    left = waves[LISTED:]
    if left:
        hosts = sum(len(wave["hosts"]) for wave in left)
        told[f"and so on to {left[-1]['id']}"] = f"{hosts} hosts"
    return told
