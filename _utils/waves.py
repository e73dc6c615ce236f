"""The order in which hosts get a release: a canary first, then the rest in waves."""


def waves(hosts, canary, size):
    """
    ``hosts`` in the groups that are activated one after the other; each host is in exactly one.

    hosts
        Names, in the order of the inventory, which the waves keep.
    canary
        How many hosts go first; 0 for no canary.
    size
        How many hosts a wave after the canary has, 1 or more.
    """
    rest = hosts[canary:]
    return [wave for wave in (hosts[:canary], *(rest[at : at + size] for at in range(0, len(rest), size))) if wave]
