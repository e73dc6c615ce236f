"""
Hosts that were off in a deploy that went on without them (``rollout: {unreachable: skip}``) are brought to what is
deployed when they are back, and take traffic again then.
"""

import dataclasses
import logging
from collections.abc import Mapping

import salt.utils.jid
from salt.exceptions import CommandExecutionError

import asking
import ledger_file
import lock_file
import steps
import syncing

log = logging.getLogger(__name__)

# Seconds that nobody else deploys meanwhile: a release is staged, which builds a venv, on hosts all at once.
LOCK_SECONDS = 3600


def bring_back(opts, fleet, apps):
    """``(app, host, problem)`` of each host that was skipped; the problem of one that is brought back is empty."""
    token, found = salt.utils.jid.gen_jid(opts), []
    for app in fleet.apps:
        balancers = [host.name for host in fleet.balancers_of(app.name)]
        problems = CatchUp(opts, token, app.name, app.hosts, balancers).run() if app.name in apps else {}
        found += [(app.name, host, problem) for host, problem in problems.items()]
    for app, host, problem in found:
        # Mostly nobody has asked who could read the answer.
        level = logging.WARNING if problem not in ("", asking.SILENT) else logging.INFO
        log.log(level, "%s on %s: %s", app, host, problem or "it has what is deployed, and takes traffic again")
    return found


@dataclasses.dataclass(frozen=True)
class CatchUp:
    """What there is to do for one app; ``hosts`` are those that it runs on, ``token`` is that of the lock."""

    opts: Mapping
    token: str
    app: str
    hosts: tuple
    balancers: list

    def run(self):
        """``{host: problem}`` of the hosts that were skipped; the problem of one that is brought back is empty."""
        skipped = self._ledger()["skipped"]
        known = [host for host in skipped if host in self.hosts]
        # Functions outside a state run see the pillar that the minion has in memory; this also asks who is there.
        here, problems = asking.ask(self.opts, known, "saltutil.refresh_pillar", wait=True)
        if not here and len(known) == len(skipped):
            return problems
        try:
            return problems | self._run_alone(list(here))
        except CommandExecutionError as error:
            return problems | dict.fromkeys(here, str(error))

    def _run_alone(self, hosts):
        reason = f"bring {', '.join(hosts)} to what is deployed"
        lock_file.acquire(self._folder, self.app, self.token, ledger_file.who(), reason, LOCK_SECONDS)
        try:
            # Somebody may have deployed meanwhile.
            ledger = self._ledger()
            hosts = [host for host in hosts if host in ledger["skipped"]]
            problems = self._converge(hosts, ledger["deployed"])
            well = [host for host in hosts if not problems[host]]
            if well:
                self._balance([host for host in ledger["skipped"] if host not in well])
            gone = [host for host in ledger["skipped"] if host not in self.hosts]
            ledger_file.caught_up(self._folder, self.app, [*well, *gone])
            return problems
        finally:
            lock_file.release(self._folder, self.app, self.token)

    def _converge(self, hosts, release):
        """Do what a highstate does for the app, and look at what comes of it: ``{host: problem}``."""
        syncing.sync(self.opts, hosts)
        applied = asking.apply(self.opts, hosts, "app", {"only": self.app}, test=False)
        problems = dict.fromkeys(hosts, steps.reason(False)) | {host: steps.reason(states) for host, states in applied}
        well = [host for host in hosts if not problems[host]]
        found, silent = asking.ask(self.opts, well, "slots.status", self.app)
        return problems | silent | {host: _fault(status, release) for host, status in found.items()}

    def _balance(self, behind):
        """First the balancers, then the ledger: where one of them fails, the next time begins here again."""
        pillar = {"skipped": {self.app: behind}}
        applied = dict(asking.apply(self.opts, self.balancers, "balancer", pillar, test=False))
        failed = {host: steps.reason(applied.get(host, False)) for host in self.balancers}
        failed = {host: reason for host, reason in failed.items() if reason}
        if failed:
            raise CommandExecutionError(asking.lines(failed))

    def _ledger(self):
        return ledger_file.read(self._folder, self.app)

    @property
    def _folder(self):
        return ledger_file.folder(self.opts)


def _fault(status, release):
    """What is wrong with what a host serves; empty if nothing is."""
    if status["release"] != release["id"]:
        return f"it serves {status['release'] or 'nothing'} instead of {release['id']}"
    return "" if status["answer"] == "well" else status["answer"]
