"""
The steps of a rotation of secrets that the master does itself. They run on the master, in ``salt/orch/rotate.sls``.

No value passes through here: hosts have them from their own pillar. What the ledger notes are fingerprints.
"""

from salt.exceptions import CommandExecutionError

import asking
import ledger_file
import lock_file
import rollout_step
import state_result
import steps

STRAYED = "it does not serve with its files as they are now"
REFUSED = (
    "the newest deploy key is not let in: add its public half to the git server, then rotate again; the old one stays"
)


@rollout_step.step
def tried(name, app, hosts):
    """
    Ensure that the git server lets the newest deploy key in, from every host.

    hosts
        The app's hosts; none if the key is not rotated.

    .. code-block:: yaml

        try-key:
          rotation.tried:
            - app: shop
            - hosts: [web1, web2]
    """
    if not hosts:
        return state_result.unchanged(name, "there is no new deploy key")
    problems = asking.ask(__opts__, hosts, "rotation.try_deploy_key", app)[1]
    if problems:
        raise CommandExecutionError(f"{asking.lines(problems)}\n{REFUSED}")
    return state_result.unchanged(name, f"{', '.join(hosts)} get in with the new deploy key")


@rollout_step.step
def accepted(name, app, hosts, overlap):
    """
    Ensure that every host accepts the newest secrets, before the first one uses them.

    What fails from here on goes back to what the hosts serve now.

    overlap
        What the ledger notes of a password of which two values, or both logins, are in use from here on.

    .. code-block:: yaml

        accepted:
          rotation.accepted:
            - app: shop
            - hosts: [web1, web2]
            - overlap: {"passwords:database:shop": {value: 1a2b3c4d, login: 1, overlap: true}}
    """
    if __opts__["test"]:
        return state_result.unchanged(name, "every host would be asked whether it accepts the newest secrets")
    serving = _settled(app, hosts)
    before = {host: {key: found[key] for key in ("slot", "release")} for host, found in serving.items()}
    lock_file.must_be_held(_folder(), app, __orchestration_jid__, "nothing was recorded")
    ledger_file.go_on(_folder(), app, before, _now(overlap))
    return state_result.unchanged(name, f"{', '.join(hosts)} accept the newest secrets")


@rollout_step.step
def recorded(name, app, hosts, rotates):
    """
    Ensure that the ledger says that the newest secrets are in use, once every host uses them.

    rotates
        What the ledger is to note of each secret but the time, as the plan has it.

    .. code-block:: yaml

        record:
          rotation.recorded:
            - app: shop
            - hosts: [web1, web2]
            - rotates: {"secrets:shop:SECRET_KEY": {value: 1a2b3c4d, overlap: true}}
    """
    changes = dict.fromkeys(rotates, "the newest value")
    if __opts__["test"]:
        return state_result.made(name, changes, "the ledger would say that the newest secrets are in use", test=True)
    _settled(app, hosts)
    lock_file.must_be_held(_folder(), app, __orchestration_jid__, "nothing was recorded")
    if __salt__["saltutil.runner"]("rotation.steps", arg=[app])["rotates"] != rotates:
        raise CommandExecutionError("the secrets in the pillar have changed meanwhile: rotate again")
    if rotates:
        done = steps.notes(__running__)
        ledger_file.succeed(_folder(), app, result=ledger_file.ROTATED, in_use=_now(rotates), **done)
    else:
        ledger_file.forget(_folder(), app)
    asking.ask(__opts__, hosts, "slots.settle", app)
    return state_result.made(name, changes, "the newest secrets are in use on every host", test=False)


@rollout_step.step
def ended(name, app):
    """
    Ensure that the ledger says that nothing runs with other secrets any more.

    .. code-block:: yaml

        ended:
          rotation.ended:
            - app: shop
    """
    changes = {"overlap": {"old": True, "new": False}}
    if __opts__["test"]:
        return state_result.would(name, changes, "the ledger would say that nothing runs with other secrets any more")
    noted = ledger_file.read(_folder(), app)["in_use"]
    over = {path: entry | {"overlap": False} for path, entry in noted.items() if entry.get("overlap")}
    ledger_file.use(_folder(), app, over)
    return state_result.changed(name, changes, "nothing runs with other secrets any more")


def _settled(app, hosts):
    """``{host: what it serves}`` if each was started with its files as they are now: none has gone back by itself."""
    serving, problems = asking.ask(__opts__, hosts, "rotation.serving", app)
    problems |= {
        host: f"{STRAYED} ({', '.join(found['pending'])})" for host, found in serving.items() if found["pending"]
    }
    if problems:
        raise CommandExecutionError(asking.lines(problems))
    return serving


def _now(entries):
    return {path: {**entry, "since": ledger_file.now()} for path, entry in entries.items()}


def _folder():
    return ledger_file.folder(__opts__)
