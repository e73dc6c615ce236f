"""
The database of an app and the role that owns it, on the database host.

Core's ``postgres_user`` and ``postgres_database`` are not used on purpose: they give the password to psql as an
argument, and in test mode they fail on a host that has no PostgreSQL yet.
"""

from salt.exceptions import CommandExecutionError

import app_spec
import state_result


@state_result.failures_are_results
def present(name, user, app):
    """
    Ensure that a PostgreSQL database exists and belongs to a role that logs in with the app's password.

    The password comes from the pillar, ``passwords:database:<app>``; it is compared with the verifier that the server
    holds, and only a verifier is sent.

    .. code-block:: yaml

        shop-database:
          database.present:
            - name: shop
            - user: shop
            - app: shop
    """
    password = app_spec.database_password(app_spec.load(__pillar__, __grains__).app(app))
    if __opts__["test"] and not __salt__["databases.reachable"]():
        changes = {"role": f"{user} created", "database": f"{name} created"}
        return state_result.would(name, changes, "No PostgreSQL server runs here yet: the database would be created")
    changes = _changes(name, user, __salt__["databases.inspect"](name, user, password))
    if not changes:
        return state_result.unchanged(name, f"The database {name} and its role {user} are as they should be")
    if __opts__["test"]:
        return state_result.would(name, changes, f"The database {name} would be set up")
    _set_up(name, user, password, changes)
    return state_result.changed(name, changes, f"The database {name} was set up")


def _changes(name, user, found):
    changes = {}
    if not found["role"]:
        changes["role"] = f"{user} created"
    elif not (found["login"] and found["password"]):
        changes["role"] = f"{user} given its password"
    if not found["owner"]:
        changes["database"] = f"{name} created"
    elif found["owner"] != user:
        changes["database"] = f"{name} given from {found['owner']} to {user}"
    return changes


def _set_up(name, user, password, changes):
    done = {}
    try:
        if "role" in changes:
            __salt__["databases.create_role"](user, password)
            done["role"] = changes["role"]
        if "database" in changes:
            __salt__["databases.create_database"](name, user)
    except CommandExecutionError as error:
        error.changes = done
        raise
