"""The end of a rollout, whatever it came to: what failed is undone, written down and told, and the lock given back."""

import dataclasses
from collections.abc import Mapping

from salt.exceptions import CommandExecutionError

import asking
import ledger_file
import lock_file
import notices
import rollout_hooks
import steps


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
            if failure and steps.passed(self.running, "record") is not None:
                return ["the release is deployed on every host; what failed came after that"]
            if not failure or attempt.get("token") != self.token:
                return []
            return self._undo(attempt["before"], steps.sentence(failure))
        finally:
            lock_file.release(self._folder, self.app, self.token)

    def _undo(self, before, reason):
        lines = self._revert(before)
        if steps.passed(self.running, "migrate"):
            lines.append("the migrations that ran stay applied: the release before must work with them")
        ledger_file.fail(self._folder, self.app, reason, **steps.notes(self.running))
        return [*lines, *self._after_failure(before)]

    def _revert(self, before):
        """Bring each host back to the slot it served before; what came of it, as lines."""
        serving, problems = asking.ask(self.opts, before, "slots.serving", self.app)
        moved = {host: before[host] for host in serving if serving[host]["slot"] != before[host]["slot"]}
        slots = {host: served["slot"] for host, served in moved.items()}
        problems |= asking.ask(self.opts, moved, "slots.revert", self.app, slots)[1]
        back = [f"{host} serves {served(moved[host])} again" for host in moved if host not in problems]
        lost = [f"{host} was NOT brought back to {served(before[host])}: {_left(problems[host])}" for host in problems]
        return [*back, *lost] or [f"every host of {self.app} still serves what it served before"]

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


def served(serving):
    """What a host serves, for people."""
    return serving["release"] or "nothing"


def _left(problem):
    again = "; it goes back by itself when it asks for us (rollout:confirm)"
    return problem + again * (problem == asking.SILENT)
