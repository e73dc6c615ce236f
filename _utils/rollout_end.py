"""The end of a rollout, whatever it came to: what failed is undone, written down and told, and the lock given back."""

import dataclasses
from collections.abc import Mapping

from salt.exceptions import CommandExecutionError

import asking
import ledger_file
import lock_file
import notices
import restores
import rollout_hooks
import steps

# Where a step failed after the ledger was written.
DEPLOYED = "the release is deployed on every host; what failed came after that"
ROTATED = "the newest secrets are in use on every host; what failed came after that"
WELL = "no step failed"
AGAIN = "the next deploy or rollback begins with what is left: see to the cause, and run the command again"


@dataclasses.dataclass(frozen=True)
class Ending:
    """
    The end of the rollout ``token`` of an app, from what its steps came to (``running``).

    ``hosts`` are the app's, for the message about it, ``hook`` are its hooks of a failure.
    """

    opts: Mapping
    token: str
    running: Mapping
    app: str
    hosts: list
    hook: Mapping | None

    def end(self):
        """
        Undo, write down and unlock what the rollout holds, and if that is the end of a deploy, tell those who want to
        know; what was done, as lines.
        """
        held, before = lock_file.is_held(self._folder, self.app, self.token), self._newest()
        told = self._end() if held else []
        entry = self._newest()
        if not held or not entry or (entry == before and not steps.changes(self.running, "record")):
            return told
        told += [f"{host} was skipped: {asking.SILENT}" for host in entry.get("skipped", ())]
        failure = steps.failed(self.running)
        reason = steps.sentence(failure) if failure else ""
        return [*told, *notices.send(self.opts, notices.notice(self.app, entry, self.hosts, told, reason))]

    def _end(self):
        try:
            failure, attempt = steps.failed(self.running), ledger_file.read(self._folder, self.app)["in_progress"]
            if steps.passed(self.running, "record") is not None:
                after = DEPLOYED if steps.passed(self.running, "accepted") is None else ROTATED
                return [*([after] if failure else []), *steps.comments(self.running, "swap")]
            if not failure or attempt.get("token") != self.token:
                return []
            return self._undo(attempt, steps.sentence(failure))
        finally:
            lock_file.release(self._folder, self.app, self.token)

    def _undo(self, attempt, reason):
        try:
            lines = undo(self.opts, self.app, attempt)
        except CommandExecutionError as error:
            # It stays in progress: the next one finds what is left to put right.
            ledger_file.note(self._folder, self.app, reason=reason)
            return [f"NOT everything was brought back, and visitors may be kept out: {error}", AGAIN]
        if steps.passed(self.running, "migrate") and not attempt.get("restore"):
            lines.append("the migrations that ran stay applied: the release before must work with them")
        ledger_file.fail(self._folder, self.app, reason, **steps.notes(self.running))
        return [*lines, *self._after_failure(attempt["before"])]

    def _after_failure(self, before):
        """Run the hooks of a failure in what their host serves; what came of it, as lines."""
        if not self.hook or not self.hook["commands"]:
            return []
        host = self.hook["host"]
        if not before[host]["release"]:
            return [f"{host} serves nothing: no hook of a failure runs"]
        try:
            return [f"{host} ran: {'; '.join(rollout_hooks.run(self.opts, self.hook))}"]
        except CommandExecutionError as error:
            return [f"a hook of a failure failed itself: {error}"]

    def _newest(self):
        """The last entry of the ledger's history, or {}."""
        try:
            return (ledger_file.read(self._folder, self.app)["history"] or [{}])[-1]
        except CommandExecutionError:
            return {}

    @property
    def _folder(self):
        return ledger_file.folder(self.opts)


def undo(opts, app, attempt):
    """
    Bring an app back to what it was before a rollout: its hosts, and where a dump was restored before them its database
    and after them its visitors. What came of it, as lines.

    Raises CommandExecutionError if a database or visitors are not where they were; hosts are told in the lines.
    """
    restore = attempt.get("restore")
    lines = restores.undo(opts, restore) if restore else []
    lines += _revert(opts, app, attempt["before"])
    return lines + (restores.opened(restores.let_in(opts, app, restore["fronts"])) if restore else [])


def served(serving):
    """What a host serves, for people."""
    return serving["release"] or "nothing"


def _revert(opts, app, before):
    """Bring each host back to the slot it served before; what came of it, as lines."""
    serving, problems = asking.ask(opts, before, "slots.serving", app)
    moved = {host: before[host] for host in serving if serving[host]["slot"] != before[host]["slot"]}
    slots = {host: served["slot"] for host, served in moved.items()}
    problems |= asking.ask(opts, moved, "slots.revert", app, slots)[1]
    back = [f"{host} serves {served(moved[host])} again" for host in moved if host not in problems]
    lost = [f"{host} was NOT brought back to {served(before[host])}: {_left(problems[host])}" for host in problems]
    return [*back, *lost] or [f"every host of {app} still serves what it served before"]


def _left(problem):
    again = "; it goes back by itself when it asks for us (rollout:confirm)"
    return problem + again * (problem == asking.SILENT)
