"""The web server in front of the apps of a host, Nginx or Apache: which one has port 80."""

from salt.exceptions import CommandExecutionError

import state_result

UNITS = {"nginx": "nginx", "apache": "apache2"}


@state_result.failures_are_results
def running(name):
    """
    Ensure that a web server has port 80 and is started with the host; reload it where a file that it watches changes.

    If the other one has the port, it keeps it: a release that wants this one takes it over when it gets the traffic,
    so that the port is closed only for the moment of the change (``slots.activate``).

    .. code-block:: yaml

        nginx-running:
          front.running:
            - name: nginx
            - watch:
              - file: nginx-*
    """
    holder = __salt__["fronts.holder"]() or name
    changes = __salt__["fronts.pending"](holder, coming=name if holder != name else "")
    if not changes:
        return state_result.unchanged(name, f"{holder} has the port{_until(holder, name)}")
    if __opts__["test"]:
        return state_result.would(name, changes, f"{holder} would have the port{_until(holder, name)}")
    changes = __salt__["fronts.take"](holder)
    return state_result.changed(name, changes, f"{holder} has the port{_until(holder, name)}")


def _until(holder, name):
    return "" if holder == name else f" until a release takes it over with {name}"


@state_result.failures_are_results
def mod_watch(name, **kwargs):
    """Reload a web server whose files have changed: connections stay, requests in flight are answered."""
    if __salt__["fronts.holder"]() not in ("", name):
        return state_result.unchanged(name, f"{name} does not have the port: it will start with its changed files")
    changes = {"configuration": {"old": "as it was loaded", "new": "as it is now"}}
    if __opts__["test"]:
        return state_result.would(name, changes, f"{name} would be reloaded")
    if not __salt__["service.reload"](UNITS[name]):
        raise CommandExecutionError(f"{name} does not reload: journalctl -u {UNITS[name]} says why")
    return state_result.changed(name, changes, f"{name} was reloaded")
