"""The app's own commands around a rollout, as steps of an orchestration: they run on the master, and ask a host."""

import shlex

import asking
import ledger_file
import rollout_hooks
import rollout_step
import state_result
import steps


@rollout_step.step
def ran_before(name, app, release, hook, hosts, pillar, questions):
    """
    Run the app's hooks of before a deploy, unless the deploy will change nothing.

    hook
        ``host``, the ``commands`` and the ``arguments`` that ``hooks.run`` has for each of them.
    hosts, pillar
        What ``app.activate`` is going to be applied to, and with which pillar.
    questions
        The arguments of ``manage.pending_migrations``.

    .. code-block:: yaml

        before-deploy:
          hook.ran_before:
            - app: shop
            - release: {id: 1a2b3c4d5e6f, commit: 1a2b..., revision: v1}
            - hook: {host: web1, commands: [[python, manage.py, pause]], arguments: {folder: ..., python: ...}}
            - hosts: [web1, web2]
            - pillar: {releases: {shop: {...}}, only: shop}
            - questions: {python: ..., folder: ..., settings: ..., user: shop, variables: {}}
    """
    if not hook["commands"]:
        return state_result.unchanged(name, "the app has no such hooks")
    is_new = ledger_file.read(ledger_file.folder(__opts__), app)["deployed"] != release or steps.changed(__running__)
    if not is_new and not _would_change(hook["host"], hosts, pillar, questions):
        return state_result.unchanged(name, "nothing is going to change: no hook runs")
    return _ran(name, hook)


@rollout_step.step
def ran_after(name, app, hook):
    """
    Run the app's hooks of after a deploy, if the step ``record`` had something to record.

    hook
        As ``ran_before`` takes it.

    .. code-block:: yaml

        after-deploy:
          hook.ran_after:
            - app: shop
            - hook: {host: web1, commands: [[python, manage.py, clear_cache]], arguments: {folder: ..., python: ...}}
    """
    if not hook["commands"]:
        return state_result.unchanged(name, "the app has no such hooks")
    if not steps.changes(__running__, "record"):
        return state_result.unchanged(name, "nothing changed: no hook runs")
    return _ran(name, hook)


def _ran(name, hook):
    """The result of a step that runs hooks."""
    commands = [shlex.join(command) for command in hook["commands"]]
    if __opts__["test"]:
        return state_result.would(name, {"ran": commands}, f"{hook['host']} would run: {'; '.join(commands)}")
    ran = rollout_hooks.run(__opts__, hook)
    return state_result.changed(name, {"ran": ran}, f"{hook['host']} ran: {'; '.join(ran)}")


def _would_change(host, hosts, pillar, questions):
    """Whether migrating or activating a release that is staged would change anything: both are asked."""
    answers = asking.apply(__opts__, hosts, "app.activate", pillar, test=True)
    if any(steps.reason(returned) or steps.has_changes(returned) for _, returned in answers):
        return True
    return bool(asking.ask_one(__opts__, host, "manage.pending_migrations", **questions))
