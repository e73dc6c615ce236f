"""Which release of an app has the traffic of this host; the work is done by ``slots``."""

from pathlib import Path

import slot_record
import state_result


def active(
    name, release, path, slots, current, config_files, health, window, warm_requests, keep_warm, confirm=0, again=True
):
    """
    Ensure that a release has the traffic, started with the config files as they are now.

    .. code-block:: yaml

        shop-active:
          slot.active:
            - name: shop
            - release: 1a2b3c4d5e6f
            - path: /srv/shop/releases/1a2b3c4d5e6f
            - slots: [...]
            - current: /srv/shop/current
            - config_files: [/etc/shop/secrets.json, /etc/shop/gunicorn.conf.py]
            - health: {...}
            - window: {seconds: 10, errors: 1, slowdown: 3}
            - warm_requests: 16
            - keep_warm: 300
            - confirm: 60
            - again: true
            - watch:
              - file: shop-server

    The arguments are those of ``slots.activate``. ``watch`` is for test mode only: there a config file that would
    change predicts the restart. For real, a process is restarted because its files differ from those it started with.
    """
    where = (slots, current, release, path, config_files)
    result = _active(name, where, release, (health, window, warm_requests, keep_warm, confirm, again))
    # Salt puts the answer of mod_watch in the place of ours if nothing changed, a failure included.
    return {**result, "skip_watch": not (__opts__["test"] and result["result"])}


@state_result.failures_are_results
def _active(name, where, release, how):
    changes = __salt__["slots.pending"](*where)
    if not changes:
        return state_result.unchanged(name, f"Release {release} has the traffic")
    if __opts__["test"]:
        return state_result.would(name, changes, f"Release {release} would get the traffic")
    changes = __salt__["slots.activate"](*where, *how)
    return state_result.changed(name, changes, f"Release {release} got the traffic")


@state_result.failures_are_results
def linked(name, links, target):
    """
    Ensure that links are there which the front web server looks up; where they lead is up to ``active``.

    .. code-block:: yaml

        shop-links:
          slot.linked:
            - links: [/srv/shop/run/web, /srv/shop/run/back]
            - target: /srv/shop/run/none
    """
    missing = [link for link in links if not Path(link).is_symlink()]
    if not missing:
        return state_result.unchanged(name, "The links are there")
    changes = {link: {"old": "", "new": target} for link in missing}
    if __opts__["test"]:
        return state_result.would(name, changes, f"{len(missing)} links would be made")
    for link in missing:
        slot_record.point(link, target)
    return state_result.changed(name, changes, f"{len(missing)} links were made")


@state_result.failures_are_results
def retired(name, slots, keep_warm=0):
    """
    Ensure that only the slot that has the traffic runs a program; the others answer what they hold and stop.

    keep_warm
        Seconds after the flip in which the slot that served before may still run.

    .. code-block:: yaml

        shop-retired:
          slot.retired:
            - name: shop
            - slots: [...]
            - keep_warm: 300
    """
    idle = __salt__["slots.leftovers"](slots, keep_warm)
    if not idle:
        return state_result.unchanged(name, "No other slot runs a program, or one that may still be warm")
    changes = {program: {"old": "running", "new": "stopped"} for program in idle}
    if __opts__["test"]:
        return state_result.would(name, changes, f"{len(idle)} program would be stopped")
    cut = __salt__["slots.retire"](slots, keep_warm)
    return state_result.changed(name, changes, "\n".join([f"{len(idle)} program was stopped", *cut]))


def mod_watch(name, sfun="active", release="", slots=(), keep_warm=0, **kwargs):
    """
    Predict, in test mode, what follows from a change to come: a restart for a changed config file (``active``), and the
    end of what served before where nothing is kept warm (``retired``).
    """
    if sfun == "retired":
        serving = slot_record.active(slots)
        if not __opts__["test"] or keep_warm or serving is None:
            return state_result.unchanged(name, "No other slot runs a program, or one that may still be warm")
        changes = {serving["program"]: {"old": "running", "new": "stopped"}}
        return state_result.would(name, changes, "1 program would be stopped")
    changes = {"configuration": {"old": "as it was when the process started", "new": "as it is now"}}
    return state_result.would(name, changes, f"Release {release} would be started again with its changed config files")
