"""Which release of an app has the traffic of this host; the work is done by ``slots``."""

import state_result


def active(name, release, path, slots, front, current, config_files, health, window, warm_requests):
    """
    Ensure that a release has the traffic, started with the config files as they are now.

    .. code-block:: yaml

        shop-active:
          slot.active:
            - name: shop
            - release: 1a2b3c4d5e6f
            - path: /srv/shop/releases/1a2b3c4d5e6f
            - slots: [...]
            - front: /srv/shop/run/web.sock
            - current: /srv/shop/current
            - config_files: [/etc/shop/secrets.json, /etc/shop/gunicorn.conf.py]
            - health: {...}
            - window: 10
            - warm_requests: 16
            - watch:
              - file: shop-gunicorn

    The arguments are those of ``slots.activate``. ``watch`` is for test mode only: there a config file that would
    change predicts the restart. For real, a process is restarted because its files differ from those it started with.
    """
    where = (slots, front, current, release, path, config_files)
    result = _active(name, where, release, health, window, warm_requests)
    # Salt puts the answer of mod_watch in the place of ours if nothing changed, a failure included.
    return {**result, "skip_watch": not (__opts__["test"] and result["result"])}


@state_result.failures_are_results
def _active(name, where, release, health, window, warm_requests):
    changes = __salt__["slots.pending"](*where)
    if not changes:
        return state_result.unchanged(name, f"Release {release} has the traffic")
    if __opts__["test"]:
        return state_result.would(name, changes, f"Release {release} would get the traffic")
    changes = __salt__["slots.activate"](*where, health, window, warm_requests)
    return state_result.changed(name, changes, f"Release {release} got the traffic")


@state_result.failures_are_results
def retired(name, slots, front):
    """
    Ensure that only the slot that has the traffic runs a program; the others answer what they hold and stop.

    .. code-block:: yaml

        shop-retired:
          slot.retired:
            - name: shop
            - slots: [...]
            - front: /srv/shop/run/web.sock
    """
    idle = __salt__["slots.idle_programs"](slots, front)
    if not idle:
        return state_result.unchanged(name, "No idle slot runs a program")
    changes = {program: {"old": "running", "new": "stopped"} for program in idle}
    if __opts__["test"]:
        return state_result.would(name, changes, f"{len(idle)} program would be stopped")
    __salt__["slots.retire"](slots, front)
    return state_result.changed(name, changes, f"{len(idle)} program was stopped")


def mod_watch(name, release, **kwargs):
    """Predict, in test mode, that a config file which would change means a restart; ``active`` lets it do no more."""
    changes = {"configuration": {"old": "as it was when the process started", "new": "as it is now"}}
    return state_result.would(name, changes, f"Release {release} would be started again with its changed config files")
