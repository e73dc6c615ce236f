"""What a completed pillar is made of: frozen dataclasses, the wrapper for secrets and the error for mistakes."""

import dataclasses
from collections.abc import Mapping

from salt.exceptions import CommandExecutionError

import app_spec_checks

MASK = "********"


class SpecError(CommandExecutionError):
    """Every mistake of a pillar, one a line: the key as typed, what is wrong, what to do."""


class Secret(str):
    """
    A text that prints as ``********`` wherever it is printed, joined, dumped as JSON, copied or pickled.

    Only ``reveal()`` gives the value. Two secrets are equal when their values are.
    """

    __slots__ = ("_value",)

    def __new__(cls, value):
        secret = super().__new__(cls, MASK)
        secret._value = value
        return secret

    def reveal(self):
        """Return the value, for the one place that writes it into a file or sends it to a program's stdin."""
        return self._value

    def __repr__(self):
        return MASK

    def __eq__(self, other):
        return isinstance(other, Secret) and self._value == other._value

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(self._value)

    def __reduce__(self):
        return str, (MASK,)


class Secrets(tuple):
    """Several secrets, which are revealed together."""

    __slots__ = ()

    def reveal(self):
        """Return the list of their values, as ``Secret.reveal`` does."""
        return [secret.reveal() for secret in self]


@dataclasses.dataclass(frozen=True)
class Host:
    """A machine of the inventory; its name is its minion id. ``cache_memory`` is empty where nobody has said it."""

    name: str
    address: str
    roles: tuple
    max_connections: int
    cache_memory: str


@dataclasses.dataclass(frozen=True)
class Source:
    """
    Where an app's code comes from. ``deploy_key`` and ``known_hosts`` are files on the app's hosts, where they are used
    if they are there; empty if the source is no git repository.
    """

    kind: str
    url: str
    hash: str
    deploy_key: str
    known_hosts: str
    host_keys: tuple


@dataclasses.dataclass(frozen=True)
class Release:
    """
    One built copy of an app's code, and the Python that runs it.

    It is run at ``path``: that is ``code``, or where files of the pillar go into the release ``furnished``, a link to a
    copy with these files in it.
    """

    id: str
    commit: str
    revision: str
    code: str
    furnished: str
    path: str
    python: str


@dataclasses.dataclass(frozen=True)
class AppFile:
    """
    A config file of an app, called ``name`` below the place that it goes ``into`` (``etc`` or ``release``). ``kind``
    says what ``origin`` is: the ``contents``, or the address of a ``source`` or a ``template``. ``check`` is a command,
    ``variable`` the one in which the app's processes find the file's path.
    """

    name: str
    into: str
    kind: str
    origin: str
    secret: bool
    owner: str
    mode: int
    check: tuple
    variable: str


@dataclasses.dataclass(frozen=True)
class Paths:
    """The folders and links of an app on its hosts."""

    home: str
    mirror: str
    downloads: str
    releases: str
    furnished: str
    venvs: str
    static: str
    media: str
    slots: str
    run: str
    live: str
    standby: str
    nobody: str
    current: str
    etc: str
    files: str
    file_set: str
    logs: str


@dataclasses.dataclass(frozen=True)
class SecretsFile:
    """A file with the values that an app is given, in one of the formats of ``secret_formats``."""

    name: str
    path: str
    format: str


@dataclasses.dataclass(frozen=True)
class Slot:
    """
    One of the two places in which a release runs, and all that is needed to start, ask and end what runs there.

    ``live`` is the link that says who has the traffic: it leads to ``target``, a socket, or for Apache a file that
    names the slot. ``standby`` leads to the target of the slot that had it before while that one may still take over;
    ``nobody`` is where they lead otherwise. The probe asks at ``door``, with the word in the file ``token``
    where the door demands one.
    ``section`` is what the process manager ``manager`` (an execution module) is configured with as ``program``;
    ``secrets_files`` are the paths of those that its process reads.
    ``front`` is the web server of the host, ``access_log`` its log, ``timeout`` in seconds.
    ``file_set`` is the link to the app's config files as they shall be, ``files`` that to those which the slot was
    started with, ``furnished`` the folder of the releases with files in them.
    """

    name: str
    link: str
    files: str
    file_set: str
    furnished: str
    record: str
    live: str
    standby: str
    nobody: str
    target: str
    door: str
    token: str
    front: str
    access_log: str
    domains: tuple
    timeout: int
    program: str
    manager: str
    log: str
    secrets_files: tuple
    section: Mapping


@dataclasses.dataclass(frozen=True)
class ConfigFile:
    """A file that a web server reads: where it is, and the template it is made from."""

    name: str
    path: str
    source: str


@dataclasses.dataclass(frozen=True)
class Web:
    """
    How the app is served: the server and what it needs in the venv, its size on this host, the web server in front.

    ``application`` is the Python object for ``interface`` (wsgi or asgi). ``files`` are read by the server when it
    starts, ``maps`` by an Apache in front. ``timeout`` (seconds) is what a request may take, ``warm_requests`` how many
    reach every worker once, ``port`` the first of two (Apache's slots only). ``memory`` and ``cpu`` (percent of a core)
    are limits of one slot, empty and 0 for none.
    """

    server: str
    interface: str
    application: str
    front: str
    packages: tuple
    files: tuple
    maps: tuple
    workers: int
    threads: int
    timeout: int
    warm_requests: int
    port: int
    memory: str
    cpu: int


@dataclasses.dataclass(frozen=True)
class Health:
    """
    How to ask an app whether it is well: ``statuses`` are the lowest and the highest good one, times in seconds, and
    ``warm`` the pages that a release answers before it gets traffic.
    """

    path: str
    statuses: tuple
    timeout: float
    interval: float
    successes: int
    start_timeout: float
    warm: tuple
    host: str


@dataclasses.dataclass(frozen=True)
class Watch:
    """
    How a release is watched that got the traffic: for how many seconds, by how many percentage points its ``errors``
    may rise, and by which factor its answers may slow down.
    """

    seconds: float
    errors: float
    slowdown: float


@dataclasses.dataclass(frozen=True)
class Rollout:
    """
    Which hosts take a new release first, and how many at once then; the last three are seconds.

    ``unreachable`` is what a deploy does about a host that does not answer: ``fail`` or ``skip``; ``again`` is whether
    a release that lost the traffic in its watch window is tried once more.
    """

    unreachable: str
    canary: tuple
    wave: int
    watch: Watch
    again: bool
    between: int
    confirm: int
    lock_timeout: float


@dataclasses.dataclass(frozen=True)
class Hooks:
    """The commands around a deploy, each a tuple of a program and its arguments."""

    before_deploy: tuple
    after_deploy: tuple
    on_failure: tuple


@dataclasses.dataclass(frozen=True)
class Tls:
    """Where the web server in front finds the certificate (with its chain) and its key."""

    certificate: str
    key: str


@dataclasses.dataclass(frozen=True)
class Maintenance:
    """
    What web servers look up at each request: as long as the file ``flag`` is there visitors get ``page`` instead of the
    app, but for those whose address is the name of a file in the folder ``allowed``.

    ``let_in`` are the files that belong there, ``retry_after`` is in seconds. ``notice`` is what ``flag`` says to those
    who look: whether it is for a restore, at whose end it goes.
    """

    folder: str
    page: str
    flag: str
    notice: str
    allowed: str
    let_in: tuple
    retry_after: int


@dataclasses.dataclass(frozen=True)
class Database:
    """
    The database of an app; ``clients`` are the addresses that may connect to it.

    ``user`` owns it. The app logs in as ``login``, one of the two ``logins``, which take turns as the password changes.
    """

    app: str
    engine: str
    host: str
    address: str
    port: int
    name: str
    user: str
    login: str
    logins: tuple
    clients: tuple


@dataclasses.dataclass(frozen=True)
class Cache:
    """The cache of an app: Redis, in which the app is ``user``, and the keys that begin with ``prefix`` are its own."""

    app: str
    host: str
    address: str
    port: int
    user: str
    prefix: str


@dataclasses.dataclass(frozen=True)
class App:
    """
    One Django project that we deploy, with everything about it decided.

    ``secrets_files`` are the one that the app reads and, where the values are exported, the one that ``launch`` reads.
    ``secrets``, ``deploy_key``, ``password`` (of the database's user) and ``cache_password`` are there only where the
    pillar gives them, and are those in use; ``values`` has all that it gives of each (``rotation.Several``), by the
    pillar's key. ``fallback`` is how many days a secret is accepted after a newer one came into use. ``tls`` has one
    item on a host that visitors reach by https, none elsewhere.
    """

    name: str
    user: str
    group: str
    domains: tuple
    settings: str
    wsgi: str
    server: str
    process_manager: str
    environment: str
    like: str
    python: str
    requirements: str
    keep: int
    keep_warm: int
    hosts: tuple
    source: Source
    revision: str
    releases: tuple
    paths: Paths
    fallback: int
    secrets_files: tuple
    files: tuple
    config_files: tuple
    slots: tuple
    web: Web
    variables: Mapping
    health: Health
    rollout: Rollout
    hooks: Hooks
    tls: tuple
    maintenance: Maintenance
    static_url: str
    media_url: str
    max_body: str
    max_body_bytes: int
    database: Database | None
    cache: Cache | None
    config: Mapping
    secrets: Mapping
    deploy_key: Secret | None
    password: Secret | None
    cache_password: Secret | None
    values: Mapping


@dataclasses.dataclass(frozen=True)
class Fleet:
    """
    All hosts and all apps.

    ``released`` is true where the ledger alone says what is deployed (key ``releases``), ``only`` names the one app
    that a deploy is about (empty: no deploy, or every app), ``rollouts`` the releases that are being brought to hosts
    by app, ``skipped`` the hosts that missed the one that is deployed, ``pull`` how many seconds after a pull of a host
    the next begins (0: they do not pull).
    """

    hosts: tuple
    apps: tuple
    released: bool
    only: str = ""
    rollouts: Mapping = dataclasses.field(default_factory=dict)
    skipped: Mapping = dataclasses.field(default_factory=dict)
    pull: int = 0

    @property
    def left_alone(self):
        """The names of the apps that only their rollout may touch, and this is not it."""
        return () if self.only else tuple(self.rollouts)

    def host(self, name):
        """Return the host called ``name``; ``SpecError`` if the inventory has none."""
        return self._named(self.hosts, name, f"hosts: no host has the name {name!r}")

    def app(self, name):
        """Return the app called ``name``; ``SpecError`` if the pillar has none."""
        return self._named(self.apps, name, f"apps: no app has the name {name!r}")

    def apps_on(self, name):
        """Return the apps that run on the host called ``name``; during a deploy only the one that it is about."""
        return tuple(app for app in self.apps if name in app.hosts and self.only in ("", app.name))

    def reached_on(self, name):
        """Return the apps that visitors reach on the host called ``name``: as ``apps_on``, on a balancer all."""
        everywhere = "balancer" in self.host(name).roles
        return tuple(app for app in self.apps if self.only in ("", app.name) and (everywhere or name in app.hosts))

    def balancers_of(self, name):
        """Return the hosts that spread the requests of the app called ``name``: not those on which it runs itself."""
        return tuple(host for host in self.with_role("balancer") if host.name not in self.app(name).hosts)

    def databases_on(self, name):
        """Return the databases that the host called ``name`` serves."""
        return tuple(app.database for app in self.apps if app.database and app.database.host == name)

    def caches_on(self, name):
        """Return the caches that the host called ``name`` serves."""
        return tuple(app.cache for app in self.apps if app.cache and app.cache.host == name)

    def with_role(self, role):
        """Return the hosts that have ``role``."""
        return tuple(host for host in self.hosts if role in host.roles)

    @staticmethod
    def _named(things, name, wrong):
        for thing in things:
            if thing.name == name:
                return thing
        raise SpecError(f"{wrong}: {app_spec_checks.suggestion(name, [thing.name for thing in things])}")
