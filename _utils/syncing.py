"""Hosts get the master's modules: applying an SLS alone does not sync them."""

from salt.exceptions import CommandExecutionError

import asking
import module_digest


def sync(opts, hosts, test=False):
    """
    Sync the hosts whose modules are not the master's, and return their names; in test mode only return them.

    Raises CommandExecutionError, with the names of those that still have others.
    """
    wanted = module_digest.of_tree(opts["file_roots"]["base"])
    digests, _ = asking.ask(opts, hosts, "preflight.modules")
    differing = [host for host in hosts if digests.get(host) != wanted]
    if differing and not test:
        asking.ask(opts, differing, "saltutil.sync_all", saltenv="base")
        digests, problems = asking.ask(opts, differing, "preflight.modules")
        problems |= {host: "its modules are not the master's" for host, digest in digests.items() if digest != wanted}
        if problems:
            raise CommandExecutionError(asking.lines(problems))
    return differing
