"""The users of a Redis server: one for each app that has its cache there, and one for us."""

import app_spec
import state_result


@state_result.failures_are_results
def administered(name):
    """
    Ensure that Redis lets us in, by a password that was made on this host, and nobody without a name.

    What it changes takes a restart: Redis reads its users when it starts.

    .. code-block:: yaml

        redis-administrator:
          cache.administered: []
    """
    if __salt__["caches.is_administered"]():
        return state_result.unchanged(name, "Redis lets us in, and nobody without a name")
    changes = {"administrator": "slipway given its password"}
    if __opts__["test"]:
        return state_result.would(name, changes, "Redis would let us in, and nobody without a name")
    __salt__["caches.administer"]()
    return state_result.changed(name, changes, "Redis lets us in, and nobody without a name, when it has started again")


@state_result.failures_are_results
def present(name, app):
    """
    Ensure that an app gets in to its cache, to its own keys and with its own passwords only.

    The password comes from the pillar, ``passwords:cache:<app>``: while it is rotated there are several, and all of
    them get in; at the end only the one in use. Each is compared with the hashes that the server holds, and only hashes
    are sent. Connections stay, whatever changes.

    .. code-block:: yaml

        shop-cache:
          cache.present:
            - name: shop
            - app: shop
    """
    spec = app_spec.load(__pillar__, __grains__).app(app)
    passwords, alone = app_spec.cache_passwords(spec)
    prefix, live = spec.cache.prefix, not __opts__["test"] or __salt__["caches.is_ready"]()
    changes = _changes(name, alone, __salt__["caches.inspect"](name, prefix, passwords, live))
    if not changes:
        return state_result.unchanged(name, f"The user {name} is as it should be")
    if __opts__["test"]:
        return state_result.would(name, changes, f"The user {name} would be set up")
    __salt__["caches.set_user"](name, prefix, passwords, alone)
    return state_result.changed(name, changes, f"The user {name} was set up")


def _changes(user, alone, found):
    """What differs, in words."""
    if not found["there"]:
        return {"user": f"{user} created"}
    words = {
        "password": "" if found["on"] and found["passwords"] else f"{user} given its password",
        "others": f"other passwords of {user} refused" if alone and found["others"] else "",
        "keys": "" if found["keys"] else f"{user} given its keys",
    }
    changes = {what: text for what, text in words.items() if text}
    return changes or ({} if found["kept"] else {"file": f"{user} written into the file of users"})
