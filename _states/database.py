"""
The database of an app, on its host: the role that owns it, and a second one as which the app logs in by turns.

Core's ``postgres_user`` and ``postgres_database`` are not used on purpose: they give the password to psql as an
argument, and in test mode they fail on a host that has no PostgreSQL yet.
"""

from salt.exceptions import CommandExecutionError

import app_spec
import state_result

NOTHING = {"owner": "", "roles": {}}


@state_result.failures_are_results
def present(name, user, app):
    """
    Ensure that a PostgreSQL database exists and belongs to a role, and that the app can log in.

    The password comes from the pillar, ``passwords:database:<app>``: while it is rotated there are two, one for the
    owner and one for a second role, ``<user>-2``, that acts as the owner. Each is compared with the verifier that the
    server holds, and only a verifier is sent. A role of which the password is over does not get in any more.

    .. code-block:: yaml

        shop-database:
          database.present:
            - name: shop
            - user: shop
            - app: shop
    """
    spec = app_spec.load(__pillar__, __grains__).app(app)
    logins = app_spec.database_logins(spec)
    is_new = __opts__["test"] and not __salt__["databases.reachable"]()
    roles = {role: logins.get(role) for role in spec.database.logins}
    changes = _changes(name, user, logins, NOTHING if is_new else __salt__["databases.inspect"](name, roles))
    if is_new:
        return state_result.would(name, changes, "No PostgreSQL server runs here yet: the database would be created")
    if not changes:
        return state_result.unchanged(name, f"The database {name} and its logins are as they should be")
    if __opts__["test"]:
        return state_result.would(name, changes, f"The database {name} would be set up")
    _set_up(name, user, roles, changes)
    return state_result.changed(name, changes, f"The database {name} was set up")


def _changes(name, user, logins, found):
    """What differs, in the order in which it is put right: nobody is shut out before the other one can log in."""
    roles = found["roles"]
    made = {} if user in roles else {user: f"{user} created"}
    opened = {role: _unlike(role, user, roles) for role, password in logins.items() if password is not None}
    shut = [role for role, password in logins.items() if password is None and roles.get(role, {}).get("login")]
    differing = {**made, **opened, **{role: f"{role} shut out" for role in shut}}
    changes = {_word(role, user): text for role, text in differing.items() if text}
    if not found["owner"]:
        changes["database"] = f"{name} created"
    elif found["owner"] != user:
        changes["database"] = f"{name} given from {found['owner']} to {user}"
    return changes


def _unlike(role, user, roles):
    """How a role differs that shall log in; empty if it does not."""
    if role not in roles:
        return f"{role} created"
    is_right = roles[role]["login"] and roles[role]["password"] and (role == user or roles[role]["acts_as"] == user)
    return "" if is_right else f"{role} given its password"


def _word(role, user):
    return "role" if role == user else "login"


def _set_up(name, user, roles, changes):
    words, done = {_word(role, user): role for role in roles}, {}
    try:
        for what, text in changes.items():
            if what == "database":
                __salt__["databases.create_database"](name, user)
            else:
                role = words[what]
                __salt__["databases.create_role"](role, roles[role], "" if role == user else user)
            done[what] = text
    except CommandExecutionError as error:
        error.changes = done
        raise
