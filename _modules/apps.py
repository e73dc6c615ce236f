"""
The apps, databases, caches and sites of this host, completed from the pillar: ``salt-call apps.specs`` shows them.

Everything here reads ``__pillar__`` through ``app_spec``; nothing is changed on the host, and no secret is shown.
"""

import dataclasses

import app_spec

# On a host with several roles an app finds its database and its cache ready.
ORDER = ("database", "cache", "app", "balancer")


def specs():
    """
    Return the completed specification of every app on this host, as a list of dictionaries without secrets.

    The release of an app is the one that the pillar's key ``releases`` (the master's ledger) names. Where the pillar
    has no such key, as on a host without a master, the app's own ``revision`` is resolved here; also where hosts pull
    (``pull``) and the app was never deployed. An app that a rollout is bringing to its hosts (``apps.left_alone``) is
    not among them, but for the rollout itself.

    :raises SpecError: with every mistake of the pillar, or if this minion's id is not in ``hosts``
    :raises CommandExecutionError: if a revision cannot be resolved

    CLI Example:

    .. code-block:: bash

        salt web1 apps.specs
    """
    fleet = _fleet()
    apps = [app for app in fleet.apps_on(_host(fleet).name) if app.name not in fleet.left_alone]
    return [app_spec.plain(_resolved(fleet, app)) for app in apps]


def spec(name):
    """
    Return the completed specification of one app of this host.

    :param name: the app's name
    :raises SpecError: as ``apps.specs``, or if the app is not on this host

    CLI Example:

    .. code-block:: bash

        salt web1 apps.spec shop
    """
    fleet = _fleet()
    app, host = fleet.app(name), _host(fleet)
    if host.name not in app.hosts:
        raise app_spec.SpecError(f"apps:{name}:hosts: {host.name} is not one of them: ask {', '.join(app.hosts)}")
    return app_spec.plain(_resolved(fleet, app))


def rollout(name):
    """
    Return the ids of the release of an app that is deployed and of the one that is being brought to its hosts just now.

    :param name: the app's name
    :return: ``{"deployed": ..., "in_progress": ...}``, each empty if there is none

    CLI Example:

    .. code-block:: bash

        salt web1 apps.rollout shop
    """
    fleet = _fleet()
    return {
        "deployed": "".join(release.id for release in fleet.app(name).releases),
        "in_progress": fleet.rollouts.get(name, ""),
    }


def left_alone():
    """
    Return the names of the apps of this host that are in the middle of a rollout: it alone touches them meanwhile.

    CLI Example:

    .. code-block:: bash

        salt web1 apps.left_alone
    """
    return [app.name for app in _apps_here() if app.name in _fleet().left_alone]


def roles():
    """
    Return the roles of this host, in the order in which they need each other.

    CLI Example:

    .. code-block:: bash

        salt web1 apps.roles
    """
    return sorted(_host(_fleet()).roles, key=ORDER.index)


def hosts():
    """
    Return the inventory: a list of every host with its name, address and roles.

    CLI Example:

    .. code-block:: bash

        salt web1 apps.hosts
    """
    return [{"name": host.name, "address": host.address, "roles": list(host.roles)} for host in _fleet().hosts]


def databases():
    """
    Return the databases that this host serves: app, name, user, logins, address, port, max_connections, clients,
    version.

    ``logins`` are the two roles as which the app logs in by turns, ``address`` is what the server listens on,
    ``clients`` are the addresses of the app's hosts, ``version`` is the distribution's major version of PostgreSQL.

    CLI Example:

    .. code-block:: bash

        salt db1 apps.databases
    """
    fleet = _fleet()
    host = _host(fleet)
    return [
        {
            "app": database.app,
            "name": database.name,
            "user": database.user,
            "logins": list(database.logins),
            "address": database.address,
            "port": database.port,
            "max_connections": host.max_connections,
            "clients": list(database.clients),
            "version": app_spec.postgresql_version(__grains__),
        }
        for database in fleet.databases_on(host.name)
    ]


def caches():
    """
    Return the caches that this host serves: app, host, address, port, user, prefix.

    CLI Example:

    .. code-block:: bash

        salt db1 apps.caches
    """
    fleet = _fleet()
    return [dataclasses.asdict(cache) for cache in fleet.caches_on(_host(fleet).name)]


def cache_servers():
    """
    Return the server of the caches of this host, in a list that is empty without the role ``cache``: address, port,
    memory (MiB).

    CLI Example:

    .. code-block:: bash

        salt db1 apps.cache_servers
    """
    fleet = _fleet()
    host = _host(fleet)
    server = {"address": host.address, "port": app_spec.REDIS_PORT, "memory": app_spec.cache_memory(host, __grains__)}
    return [server] if "cache" in host.roles else []


def sites():
    """
    Return the sites that this host balances: app, domains, upstreams (host, address), those that are skipped because
    they missed the release, max_body, timeout, health, tls, maintenance.

    A host without the role ``balancer`` has none. An app that runs on this host itself is not among them: its own site
    answers here already.

    CLI Example:

    .. code-block:: bash

        salt lb1 apps.sites
    """
    fleet = _fleet()
    host = _host(fleet)
    if "balancer" not in host.roles:
        return []
    return [_site(fleet, app_spec.plain(app)) for app in fleet.apps if host.name not in app.hosts]


def maintenance():
    """
    Return what keeps visitors out of each app that they reach on this host: app, folder, page, flag, notice, allowed,
    let_in, retry_after.

    CLI Example:

    .. code-block:: bash

        salt lb1 apps.maintenance
    """
    fleet = _fleet()
    apps = fleet.reached_on(_host(fleet).name)
    return [{"app": app.name, **app_spec.plain(app)["maintenance"]} for app in apps]


def hosted():
    """
    Return the names of all apps of this host, whichever a deploy is about.

    CLI Example:

    .. code-block:: bash

        salt web1 apps.hosted
    """
    fleet = _fleet()
    host = _host(fleet).name
    return [app.name for app in fleet.apps if host in app.hosts]


def managers():
    """
    Return the process managers that the apps of this host want: ``supervisor``, ``systemd``.

    CLI Example:

    .. code-block:: bash

        salt web1 apps.managers
    """
    return sorted({app.process_manager for app in _apps_here()})


def fronts():
    """
    Return the web servers that the apps of this host want in front: ``nginx`` or ``apache``.

    CLI Example:

    .. code-block:: bash

        salt web1 apps.fronts
    """
    return sorted({app.web.front for app in _apps_here()})


def proxies():
    """
    Return the addresses of the balancers: who may say on behalf of whom, and over what, a request comes.

    CLI Example:

    .. code-block:: bash

        salt web1 apps.proxies
    """
    return [host.address for host in _fleet().with_role("balancer")]


def tls():
    """
    Return the certificate for visitors who come by https and name no site: that of the first app, in a list.

    The list is empty on a host where nobody arrives by https.

    CLI Example:

    .. code-block:: bash

        salt lb1 apps.tls
    """
    fleet = _fleet()
    host = _host(fleet)
    apps = fleet.apps if "balancer" in host.roles else fleet.apps_on(host.name)
    return [app_spec.plain(app)["tls"][0] for app in apps if app.tls][:1]


def _site(fleet, app):
    addresses, missed = {host.name: host.address for host in fleet.hosts}, fleet.skipped.get(app["name"], ())
    hosts = [{"host": name, "address": addresses[name]} for name in app["hosts"]]
    shown = {key: app[key] for key in ("domains", "max_body", "health", "tls", "maintenance")}
    return {
        "app": app["name"],
        "upstreams": [host for host in hosts if host["host"] not in missed],
        "skipped": [host for host in hosts if host["host"] in missed],
        "timeout": app["web"]["timeout"],
        **shown,
    }


def _apps_here():
    fleet = _fleet()
    return fleet.apps_on(_host(fleet).name)


def _fleet():
    return app_spec.load(__pillar__, __grains__)


def _host(fleet):
    id = __opts__["id"]
    if id not in [host.name for host in fleet.hosts]:
        raise app_spec.SpecError(f"hosts:{id}: missing: add this minion's id to pillar/hosts.yaml, or correct the id")
    return fleet.host(id)


def _resolved(fleet, app):
    """The app with the release that its revision means; asked once a run, because every SLS file asks for the specs."""
    if app.releases or fleet.released:
        return app
    source = app_spec.plain(app)["source"]
    known = __context__.setdefault("apps.resolved", {})
    question = (app.name, source["url"], source["hash"], app.revision)
    if question not in known:
        known[question] = __salt__["releases.resolve"](source, app.revision, app.paths.mirror)
    return app_spec.with_release(app, known[question]["id"], known[question]["commit"], app.revision)
