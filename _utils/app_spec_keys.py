"""
Every pillar key: its name, type, default and meaning. ``docs/pillar.md`` says the same, and a test compares the two.

The tables are read by ``app_spec_checks``: a key that is not here is a mistake.
"""

import dataclasses

import app_spec_likeness
import secret_formats
import web_servers
from app_spec_kinds import (
    Kind,
    choice,
    either,
    is_address,
    is_check,
    is_command,
    is_domain,
    is_json,
    is_mapping,
    is_status,
    is_time,
    is_variable,
    listing,
    mapping,
    number,
    seconds,
    several,
    table,
    table_or_none,
    text,
)

REQUIRED = object()
# The last release of mod_python, 3.5.0 of 2013, is for Python 2; Django dropped it in version 1.5.
REFUSED_SERVERS = {"mod_python": "it ended in 2013, runs no Python 3, and Django dropped it in 1.5: take mod_wsgi"}


class Derived(str):
    """A default that follows from other values; the text says how."""


@dataclasses.dataclass(frozen=True)
class Key:
    """A pillar key. ``default`` is a value, ``REQUIRED``, or a ``Derived`` text."""

    name: str
    kind: Kind
    default: object
    meaning: str


# Folders of /etc and users of Debian: an app of that name would take over /etc/ssh, or run as www-data.
RESERVED = (
    "adm|alternatives|apache2|apt|avahi|backup|bin|ca-certificates|console-setup|cron|dbus|debconf|default|dhcp|dpkg|"
    "fonts|fstab|games|gnats|group|gshadow|host|hosts|init|initramfs-tools|iproute2|irc|kernel|list|logrotate|lp|mail|"
    "man|messagebus|modprobe|network|news|nginx|nobody|opt|pam|perl|polkit-1|postgres|postgresql|postgresql-common|"
    "profile|proxy|python3|redis|resolvconf|root|salt|security|selinux|shadow|shells|skel|slipway|ssh|sshd|ssl|sudo|"
    "sudoers|supervisor|sync|sys|systemd|terminfo|timezone|tmpfiles|ucf|udev|ufw|update-motd|uucp|vim|www-data|xdg"
)

PATH = r"(/(?!\.\.?(/|$))[\w.@+-]+)+"
WEB_HOST = r"[A-Za-z0-9][\w.-]*(:[0-9]{1,5})?"
GIT_URL = rf"(https?|git)://{WEB_HOST}{PATH}/?|ssh://([\w.-]+@)?{WEB_HOST}{PATH}|file://{PATH}|{PATH}"
GIT_URL += r"|\w[\w.-]*@[A-Za-z0-9][\w.-]*:[\w/~][\w./~+-]*"
ARCHIVE_URL = rf"https?://{WEB_HOST}{PATH}|file://{PATH}|{PATH}"
MODULE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"

APP_NAME = text(
    "name of an app", rf"(?!({RESERVED})$)[a-z][a-z0-9-]{{0,30}}",
    "small letters, digits and -, a letter first, at most 31 of them, no name of the system's own",
)  # fmt: skip
ENVIRONMENT_NAME = text("short name", r"[a-z][a-z0-9_-]{0,30}", "small letters, digits, _ and -, a letter first")
USER = text(
    "name of a user", rf"(?!({RESERVED})$)[a-z_][a-z0-9_-]{{0,30}}",
    "small letters, digits, _ and -, at most 31 of them, no user of the system's own",
)  # fmt: skip
HOST_NAME = text("name of a host", r"[A-Za-z0-9][\w.-]{0,252}", "write the minion's id: letters, digits, . _ and -")
VARIABLE_NAME = text("name of a variable", r"[A-Za-z_]\w{0,63}", "letters, digits and _, no digit first")
# PostgreSQL's names have 63 characters; two of them are for the second login of the database's user.
DATABASE_NAME = text(
    "name in the database", r"(?!(postgres|template[01])$|pg_)[a-z_][a-z0-9_]{0,60}",
    "small letters, digits and _, at most 61 of them, no name of PostgreSQL's own",
)  # fmt: skip
ADDRESS = Kind("IP address", is_address, "write the address at which the other hosts reach this one, as 10.0.0.11")
VISITOR = Kind("IP address", is_address, "write each visitor's address alone, as 203.0.113.7: no name, no network")
DOMAIN = Kind("domain name or IPv4 address", is_domain, "write it as shop.example.com: no scheme, port, * or capitals")
ROLE = choice(
    "app", "database", "cache", "balancer", fix="the roles of this version are app, database, cache, balancer"
)
COMMAND = Kind(
    "command", is_command, "write one command with its arguments, every quote closed; there is no shell for && | ; > <"
)
URL_PATH = text(
    "path of a URL", r"(/\w[\w.-]*)+/", "write it as /static/: letters, digits, . _ - and a / at both ends"
)  # fmt: skip
SECRET_PATH = text(
    "key of a secret", r"(secrets|passwords)(:[\w-]+){2}", "write it as secrets:shop:SECRET_KEY"
)  # fmt: skip
SECRET = text("text", r"[^\x00\ud800-\udfff]+", "write a text that is not empty, in quotes", 65536, hidden=True)
PASSWORD = text(
    "text", r"[^\x00-\x1f\x7f\ud800-\udfff]+", "write one line that is not empty, in quotes", hidden=True
)  # fmt: skip
TEXT = text("text", r"[^\x00\ud800-\udfff]*", "write it in quotes, or its lines below a `|`", 1048576, hidden=True)
MEMORY = text("size in k, m or g", r"[1-9][0-9]{0,6}[kmg]", "write it as 512m: a number and k, m or g")
SALT_FILE = text(
    "file of the file server", rf"salt:/{PATH}", "write it as salt://shop/newrelic.ini, without . or .. in it"
)  # fmt: skip
FILE_PATH = text(
    "path of a file", r"(?!\.\.?(/|$))[\w.@+-]+(/(?!\.\.?(/|$))[\w.@+-]+)*",
    "write it as newrelic.ini or conf.d/newrelic.ini: letters, digits, . _ - @ +, no / in front and no ..",
)  # fmt: skip

HOST = (
    Key("address", ADDRESS, REQUIRED, "Where the other hosts reach it. No two hosts have the same."),
    Key("roles", listing(ROLE, least=1), REQUIRED, "What the host is for: `app`, `database`, `cache`, `balancer`."),
    Key(
        "max_connections",
        number("number", 20, 10000),
        100,
        "Role `database` only: how many connections its PostgreSQL takes (PostgreSQL's own default). The apps' workers"
        " and threads are sized to stay below it, on all hosts together and with both slots running. A change restarts"
        " PostgreSQL.",
    ),
    Key(
        "cache_memory",
        MEMORY,
        Derived("an eighth of the host's memory; three quarters if it has no other role"),
        "Role `cache` only: what its Redis may hold of all apps together. Beyond it goes what nobody asked for the"
        " longest. A change restarts Redis, which empties it.",
    ),
)

SOURCE = (
    Key(
        "git",
        text(
            "git URL",
            GIT_URL,
            "write https://host/path, ssh://user@host/path, user@host:path or /path, without a password"
            " (for a private repository put a key into secrets:<app>:deploy_key)",
        ),
        Derived("one of `git`, `archive`, `path`"),
        "The repository. Hosts keep a bare mirror of it.",
    ),
    Key(
        "archive",
        text("URL of an archive", ARCHIVE_URL, "write https://host/path, file:///path or /path, without a password"),
        Derived("one of `git`, `archive`, `path`"),
        "A tar or zip archive of the code instead of a repository.",
    ),
    Key(
        "path",
        text("absolute path", PATH, "write it as /srv/source/shop, without . or .. in it"),
        Derived("one of `git`, `archive`, `path`"),
        "A folder on the host instead of a repository, for development.",
    ),
    Key(
        "hash",
        text("SHA-256", r"[0-9a-f]{64}", "write the 64 digits that sha256sum prints"),
        Derived("none; required with `archive`"),
        "The archive's SHA-256. An archive with another one is refused.",
    ),
    Key(
        "known_hosts",
        listing(text("line of known_hosts", r"[!-~][ -~]*", "write a line as ssh-keyscan prints it", 4096)),
        (),
        "Public keys of the git server, for `ssh`; they are written to `/etc/<app>/known_hosts`.",
    ),
)

PAGE = text("path of a URL", r"/[\w./~?&=+-]*", "write it as /healthz/")
HEALTH = (
    Key(
        "path",
        PAGE,
        "/",
        "What is asked, with the app's first domain as Host and the header `X-Forwarded-Proto: https`.",
    ),
    Key(
        "status",
        Kind("status, or range of them", is_status, "write it as 200 or 200-399"),
        "200-399",
        "The statuses of a healthy answer.",
    ),
    Key("timeout", seconds(0.1, 300), 5, "How long one answer may take (Kamal's default)."),
    Key(
        "interval",
        seconds(0.1, 300),
        0.2,
        "The pause between two questions. A deploy waits for it; a question on the app's own door costs milliseconds.",
    ),
    Key(
        "successes",
        number("number", 1, 100),
        3,
        "How many healthy answers in a row a release needs before it gets traffic. One was not enough in our"
        " measurements: other workers were still loading.",
    ),
    Key(
        "start_timeout",
        seconds(1, 3600),
        60,
        "How long a release may take from its start to its last healthy answer; then it is given up.",
    ),
    Key(
        "warm",
        listing(PAGE),
        (),
        "Pages that each worker is asked for before the release gets traffic, so that no visitor waits for what it"
        " loads late, see [django.md](django.md#pages-whose-first-visitor-waits). An answer of 500 and more refuses the"
        " release; others do not.",
    ),
)

ROLLOUT = (
    Key(
        "unreachable",
        choice("fail", "skip", fix="write fail or skip"),
        "fail",
        "What a deploy or rollback does about an app host that does not answer: `fail`, or `skip`, go on without it; it"
        " gets no traffic from the balancers until it has the release, see [deploy.md](deploy.md#hosts-that-are-off).",
    ),
    Key(
        "canary",
        either(number("number", 1, 10000), listing(HOST_NAME, least=1)),
        1,
        "The hosts that get a new release first: how many, or which.",
    ),
    Key(
        "wave",
        either(number("number", 1, 10000), text("percentage", r"([1-9][0-9]?|100)%", "a part of the hosts as 25%")),
        Derived("all the hosts after the canary"),
        "How many hosts get it at once after that: a number, or a percentage of all the app's hosts, rounded up.",
    ),
    Key(
        "between",
        number("seconds", 0, 86400),
        0,
        "How long a deploy waits after a wave before the next one begins.",
    ),
    Key(
        "watch",
        seconds(0, 3600),
        10,
        "How long a release is watched after it got the traffic, through the front door and in the log of what users"
        " meet. If it fails it is reverted. 0: it is not watched.",
    ),
    Key(
        "errors",
        number("percentage points", 0, 100, types=(int, float)),
        1,
        "By how much the share of requests that get a 5xx answer may rise meanwhile, over the five minutes before (as"
        " Flagger's 99 % of successes). 100: it may.",
    ),
    Key(
        "slowdown",
        number("factor", 1, 1000, types=(int, float)),
        3,
        "How many times as long the slowest answers may take (the 95th percentile), besides half a second that they"
        " always may. 1000: they may.",
    ),
    Key(
        "confirm",
        number("seconds", 0, 3600),
        60,
        "A host that has a new release asks, until the deploy is recorded, whether the master still wants it. If it has"
        " no answer for that long, or the deploy was killed, it goes back by itself; 0: it stays. Longer for hundreds"
        " of hosts: each asks twice in that time.",
    ),
    Key(
        "lock_timeout",
        seconds(0, 3600),
        5,
        "How long a migration is tried while other transactions hold a table that it needs: each try half a second, as"
        " every user of the table waits behind it; then the deploy fails. 0: one try that waits for ever.",
    ),
)

HOOKS = (
    Key(
        "before_deploy",
        listing(COMMAND),
        (),
        "Run in the new release, once it is staged and before the migrations. One that fails fails the deploy.",
    ),
    Key(
        "after_deploy",
        listing(COMMAND),
        (),
        "Run in the new release, once it serves on all hosts and the ledger has it. One that fails takes nothing back.",
    ),
    Key(
        "on_failure",
        listing(COMMAND),
        (),
        "Run after a deploy failed and was taken back, in the release that serves; not at all if none does.",
    ),
)

LIMITS = (
    Key(
        "memory",
        MEMORY,
        Derived("no limit"),
        "Memory of all of the slot's processes. The kernel kills what wants more, and the process manager starts it"
        " again.",
    ),
    Key(
        "cpu",
        number("percent", 1, 10000),
        Derived("no limit"),
        "CPU time in percent of one core: 150 is one and a half cores.",
    ),
)

TLS = (
    Key(
        "certificate",
        text("absolute path", PATH, "write it as /etc/letsencrypt/live/shop.example.com/fullchain.pem"),
        REQUIRED,
        "The certificate with those that lead to its root, as PEM: a file on each host that visitors reach.",
    ),
    Key(
        "key",
        text("absolute path", PATH, "write it as /etc/letsencrypt/live/shop.example.com/privkey.pem"),
        REQUIRED,
        "Its private key, as PEM: a file there, readable by root only.",
    ),
)

MAINTENANCE = (
    Key(
        "retry_after",
        number("seconds", 1, 86400),
        300,
        "The header `Retry-After` of the page: when browsers, search engines and other programs shall ask again. An app"
        " may be back before; WordPress says 600 for its updates.",
    ),
)

DATABASE = (
    Key(
        "host",
        HOST_NAME,
        Derived("the one host with the role `database`"),
        "The host that serves it; to be given when several have the role.",
    ),
    Key("name", DATABASE_NAME, Derived("the app's name, with `_` for `-`"), "The name of the database."),
    Key("user", DATABASE_NAME, Derived("the database's name"), "The PostgreSQL user, who owns the database."),
)

CACHE = (
    Key(
        "host",
        HOST_NAME,
        Derived("the one host with the role `cache`"),
        "The host that serves it; to be given when several have the role.",
    ),
)

SECRETS_FILE = (
    Key(
        "format",
        choice(*secret_formats.FILES, fix="write one of them"),
        "json",
        "The format of the app's secrets file. What each can hold: [django.md](django.md#formats).",
    ),
    Key(
        "path",
        text("absolute path", PATH, "write it as /etc/<app>/secrets.ini"),
        Derived("`/etc/<app>/secrets.<format>`"),
        "Where it is: a name in `/etc/<app>`. What is at the path before goes when no slot needs it any more.",
    ),
    Key(
        "export",
        Kind("`true` or `false`", lambda value: isinstance(value, bool), "write true or false"),
        False,
        "Whether the app's processes find all values in their environment as well, as texts:"
        " [django.md](django.md#from-the-environment).",
    ),
    Key(
        "fallback",
        number("days", 0, 365),
        14,
        "How long after a [rotation](rotate.md) the old value of a secret is still accepted, in `<KEY>_FALLBACKS`: two"
        " weeks, as Django's SESSION_COOKIE_AGE.",
    ),
)

FILE = (
    Key(
        "into",
        choice("etc", "release", fix="write etc or release"),
        "etc",
        "`etc`: the file is `/etc/<app>/<path>`. `release`: it is in the release, beside `manage.py`, also in the place"
        " of a file of the code.",
    ),
    Key(
        "contents",
        TEXT,
        Derived("one of `contents`, `source`, `template`"),
        "The text itself. Every host's pillar has it: no secrets here.",
    ),
    Key(
        "source",
        SALT_FILE,
        Derived("one of `contents`, `source`, `template`"),
        "A file of the master's file server, taken as it is. Every host can read it there: no secrets in it.",
    ),
    Key(
        "template",
        SALT_FILE,
        Derived("one of `contents`, `source`, `template`"),
        "A Jinja template there, which knows `app`, `config` and, for a secret file, `secrets`.",
    ),
    Key(
        "secret",
        Kind("true or false", lambda value: isinstance(value, bool), "write true or false"),
        False,
        "Whether the file holds secrets: then nothing of its text is ever shown, and its template knows them.",
    ),
    Key(
        "owner",
        text("root or the app's user", r"[a-z_][a-z0-9_-]{0,30}", "write root, or the user of the app"),
        "root",
        "Who owns the file. Its group is always the app's.",
    ),
    Key(
        "mode",
        text("mode", r"0[4-7][0145][0145]", 'write it as "0640", in quotes; nobody but its owner may write the file'),
        "0640",
        "Its permissions, in quotes.",
    ),
    Key(
        "check",
        Kind("command with `{file}`", is_check, "write one command with {file} where the path belongs, in quotes"),
        Derived("it is not checked"),
        "Run as the app's user in the release's folder, with the path of the new file for `{file}`. If it fails nothing"
        " is changed.",
    ),
    Key(
        "variable",
        VARIABLE_NAME,
        Derived("none"),
        "An environment variable in which the app's processes find the path of the file; not with `into: release`.",
    ),
)

APP = (
    Key(
        "source",
        table(*SOURCE, fix="write {git: https://host/path}, or archive: with hash:, or path:"),
        REQUIRED,
        "Where the code comes from; see below.",
    ),
    Key(
        "revision",
        text("tag, commit or branch", r"(?!.*\.\.)[A-Za-z0-9_][\w./+-]*", "write a tag, commit or branch in quotes"),
        REQUIRED,
        "What to release: a tag, a commit or a branch. For an archive or a path it is a name for people. Where the"
        " ledger says what is deployed, the ledger decides.",
    ),
    Key(
        "domains",
        listing(DOMAIN, least=1),
        REQUIRED,
        "The domains that the app answers, also its ALLOWED_HOSTS. The first one is the Host of health checks.",
    ),
    Key("user", USER, Derived("the app's name"), "The system user, and group, that runs the app."),
    Key(
        "settings",
        text("Python module", MODULE, "write it as shop.settings.production"),
        Derived("`<app>.settings`, with `_` for `-`"),
        "DJANGO_SETTINGS_MODULE.",
    ),
    Key(
        "wsgi",
        text("Python object", rf"{MODULE}:[A-Za-z_]\w*", "write it as shop.wsgi:application"),
        Derived("`<app>.wsgi:application`, with `_` for `-`"),
        "The WSGI application.",
    ),
    Key(
        "asgi",
        text("Python object", rf"{MODULE}:[A-Za-z_]\w*", "write it as shop.asgi:application"),
        Derived("`<app>.asgi:application`, with `_` for `-`"),
        "The ASGI application.",
    ),
    Key(
        "server",
        choice(*web_servers.SERVERS, fix="write one of them", refused=REFUSED_SERVERS),
        "gunicorn",
        "What serves the app: `gunicorn`, `uwsgi`, `uvicorn` (Gunicorn with Uvicorn's workers), `granian`, or"
        " `mod_wsgi` (with Apache instead of Nginx in front). It is installed into the venv if the requirements do not"
        " name it. A change goes through the idle slot as a release does; [servers.md](servers.md) compares them.",
    ),
    Key(
        "interface",
        choice("wsgi", "asgi", fix="write wsgi or asgi"),
        Derived("`asgi` with `uvicorn`, else `wsgi`"),
        "Which of the two applications is served. `granian` does both, `uvicorn` only `asgi`, the others only `wsgi`.",
    ),
    Key(
        "process_manager",
        choice("supervisor", "systemd", fix="write supervisor or systemd"),
        "supervisor",
        "What keeps the processes running: `supervisor`, or `systemd` with a hardened unit for each slot.",
    ),
    Key(
        "limits",
        table(*LIMITS),
        {},
        "What one slot may use of the host, held by the kernel (cgroups) under both process managers; see below.",
    ),
    Key(
        "keep_warm",
        number("seconds", 0, 86400),
        300,
        "How long the release before goes on running after a deploy, so that the way back is a flip; 0: not at all. It"
        " keeps its memory and database connections meanwhile.",
    ),
    Key(
        "port",
        number("port", 1024, 65534),
        Derived("an even number from 10000 to 29998, by the app's name"),
        "`mod_wsgi` only: the loopback port of slot blue; green has the next one.",
    ),
    Key(
        "environment",
        ENVIRONMENT_NAME,
        app_spec_likeness.ENVIRONMENT,
        "What this app is for: which of `environments` holds for it, and which requirements are meant when the app has"
        " several: `requirements/<environment>.txt`.",
    ),
    Key(
        "environments",
        mapping(ENVIRONMENT_NAME, Kind("mapping", is_mapping, "write `key: value` lines"), "mapping of environments"),
        {},
        "For each environment the keys of an app that are otherwise there: [environments.md](environments.md).",
    ),
    Key(
        "like",
        APP_NAME,
        Derived("no other app"),
        "The app of which this one has all keys that it does not have itself; but for `domains`, `user`, `port`,"
        " `database` and `tls`, which two apps cannot share.",
    ),
    Key(
        "python",
        text("version of Python", r"python3|3\.[0-9]{1,2}(\.[0-9]{1,2})?", 'write python3 or "3.12", in quotes'),
        "python3",
        'The Python of the virtual environment: `python3` is the system\'s, `"3.12"` (in quotes) one that uv brings.',
    ),
    Key(
        "requirements",
        text("path inside the release", r"|\w[\w.-]*(/\w[\w.-]*)*", "write it as requirements/production.txt"),
        "",
        "The file that lists what to install. Empty: it is found by its usual names.",
    ),
    Key(
        "keep",
        number("number", 2, 100),
        5,
        "How many releases a host keeps (the default of Capistrano and of Kamal). Those in use are always kept.",
    ),
    Key("hosts", listing(HOST_NAME, least=1), Derived("every host with the role `app`"), "The hosts that run the app."),
    Key(
        "workers",
        number("number", 1, 512),
        Derived("the host's CPU cores, at least 2, fewer where memory or the database sets a limit"),
        "The server's processes. Not 2n+1 as often advised: 9 on 2 cores cost 67 % more CPU a request in our"
        " measurements (CPU-bound views), and both slots together double the memory. How it is computed:"
        " [servers.md](servers.md).",
    ),
    Key(
        "threads",
        number("number", 1, 512),
        Derived("16, fewer where the database sets a limit; 1 with `asgi`"),
        "Threads of each process. Workers times threads is the number of requests that can wait, for a database say, at"
        " once: the setting that mattered most in our measurements.",
    ),
    Key(
        "timeout",
        # Gunicorn's threads give a sign of life each second: with a time-out of 1 idle workers would be killed.
        number("seconds", 2, 3600),
        30,
        "How long a request may take, and how long a release that lost the traffic waits for those in flight"
        " (Gunicorn's default). What takes longer is cut then, and the log says which path it was.",
    ),
    Key("health", table(*HEALTH), {}, "How to ask the app whether it is well; see below."),
    Key("rollout", table(*ROLLOUT), {}, "How a release spreads over the hosts; see below."),
    Key(
        "hooks",
        table(*HOOKS),
        {},
        "Commands of yours that are run around a deploy, on the app's first host; see below.",
    ),
    Key(
        "tls",
        table(*TLS, fix="write {certificate: /path, key: /path}"),
        Derived("http only"),
        "Certificate and key for https, where visitors arrive: on the balancers, or without one on the app's hosts;"
        " see below.",
    ),
    Key("maintenance", table(*MAINTENANCE), {}, "What visitors are told while `orch.maintenance` is on; see below."),
    Key("static_url", URL_PATH, "/static/", "The URL path of static files: STATIC_URL of the settings."),
    Key("media_url", URL_PATH, "/media/", "The URL path of uploads: MEDIA_URL of the settings."),
    Key(
        "max_body",
        text("size in bytes, k, m or g", r"[1-9][0-9]{0,6}[kmg]?", "write it as 10m: a number and k, m or g"),
        "10m",
        "The largest request that the web server accepts.",
    ),
    Key(
        "database",
        table_or_none(*DATABASE),
        {},
        "The PostgreSQL database of the app; `none` if it has none; see below.",
    ),
    Key(
        "cache",
        table_or_none(*CACHE),
        Derived("`{}` where a host has the role `cache`, else `none`"),
        "Redis for the cache of the app; `none` if it has none; see below.",
    ),
    Key(
        "config",
        mapping(VARIABLE_NAME, Kind("JSON value", is_json, "write a text, number, list or mapping"), "mapping"),
        {},
        "Values that are not secret, written beside the secrets into the secrets file.",
    ),
    Key(
        "secrets",
        table(*SECRETS_FILE),
        {},
        "How the secrets file is written; the secrets themselves never stand here.",
    ),
    Key(
        "files",
        mapping(
            FILE_PATH,
            table(*FILE, fix="write {contents: ...}, or source: or template:"),
            "mapping of paths",
            fix="write newrelic.ini: {source: salt://shop/newrelic.ini}",
        ),
        {},
        "Further config files of the app; see below.",
    ),
    Key(
        "variables",
        mapping(
            VARIABLE_NAME,
            Kind(
                "text for the environment",
                is_variable,
                "write one line in quotes, without quotes in it; for all else there is config",
            ),
            "mapping of names to texts",
        ),
        {},
        "More environment variables for the app's processes. Not for secrets: other programs can read an environment.",
    ),
)

RELEASE = (
    Key("id", text("id of a release", r"[0-9a-f]{12}", "write its 12 digits"), REQUIRED, "The release's id."),
    Key(
        "commit",
        text("commit", r"[0-9a-f]{12,64}", "write all of its digits"),
        REQUIRED,
        "The whole commit, the archive's SHA-256 or the folder's digest.",
    ),
    Key("revision", APP[1].kind, REQUIRED, "What was asked for."),
)

PASSWORDS = (
    Key(
        "database",
        mapping(APP_NAME, several(PASSWORD), "mapping of apps to texts", hidden=True),
        {},
        "The password of each app's database user, on the app's hosts and the database's. While it is"
        " [rotated](rotate.md) a list, the new one first.",
    ),
    Key(
        "cache",
        mapping(APP_NAME, several(PASSWORD), "mapping of apps to texts", hidden=True),
        {},
        "The password of each app's user of Redis, on the app's hosts and the cache's; a list as above.",
    ),
)

IN_USE = (
    Key(
        "value",
        text("fingerprint", r"[0-9a-f]{8}", "write its 8 digits"),
        REQUIRED,
        "Digits by which the value in use can be told from the others.",
    ),
    Key(
        "since",
        Kind("time", is_time, "write it as 2026-11-25T18:41:17+00:00"),
        REQUIRED,
        "When all hosts used it.",
    ),
    Key(
        "login",
        number("number", 1, 2),
        1,
        "For a database's password: which of the two logins goes with it.",
    ),
    Key(
        "overlap",
        Kind("true or false", lambda value: isinstance(value, bool), "write true or false"),
        False,
        "Whether something may still run with another value: what lets it in to database or cache stays so long.",
    ),
)

PULL = (
    Key(
        "every",
        text("time", r"[1-9]\d{0,3}[smhd]", "write it as 30m, 6h or 1d"),
        REQUIRED,
        "How long after a pull the next begins, from `s`econds to `d`ays. Each host waits up to a tenth of it longer,"
        " by chance, so that not all of them ask the master at once.",
    ),
)

PILLAR = (
    Key(
        "hosts",
        mapping(
            HOST_NAME,
            table(*HOST, fix="write {address: 10.0.0.11, roles: [app]}"),
            "mapping of hosts",
            fix="list your hosts in pillar/hosts.yaml, as web1: {address: 10.0.0.11, roles: [app]}",
        ),
        REQUIRED,
        "The inventory; see below.",
    ),
    Key(
        "apps",
        mapping(
            APP_NAME,
            table(*APP, fix="write at least source, revision and domains"),
            "mapping of apps",
            fix="describe your apps in pillar/apps; without any write {}",
        ),
        REQUIRED,
        "The apps; see below.",
    ),
    Key(
        "secrets",
        mapping(
            APP_NAME,
            mapping(VARIABLE_NAME, several(SECRET), "mapping of names to texts", hidden=True),
            "mapping of apps",
            hidden=True,
        ),
        {},
        "For each app the values that go into its secrets file, on the app's hosts only. `deploy_key`, an SSH key to"
        " fetch the source with, goes to `/etc/<app>/deploy_key` instead. While one is [rotated](rotate.md) it is a"
        " list, the new value first.",
    ),
    Key("passwords", table(*PASSWORDS, hidden=True), {}, "Passwords that two hosts must know; see below."),
    Key(
        "releases",
        mapping(APP_NAME, table(*RELEASE), "mapping of apps"),
        Derived("each app's `revision`"),
        "What is deployed, as the master's ledger gives it. If it is there, an app not in it is not released yet.",
    ),
    Key(
        "pull",
        table(*PULL, fix="write {every: 30m}"),
        Derived("hosts do nothing by themselves"),
        "Every host applies its states by itself, too: see below, and [pull.md](pull.md). An app that was never"
        " deployed from the master then has its `revision`.",
    ),
    Key(
        "rollouts",
        mapping(APP_NAME, text("id of a release", r"[0-9a-f]{12}", "write its 12 digits"), "mapping of apps"),
        {},
        "The releases that deploys are bringing to hosts at this moment, as the master's ledger gives them: a highstate"
        " leaves those apps alone.",
    ),
    Key(
        "in_use",
        mapping(APP_NAME, mapping(SECRET_PATH, table(*IN_USE), "mapping of secrets"), "mapping of apps"),
        {},
        "Which values of secrets that were rotated are in use, as the master's ledger gives them. Without an entry the"
        " last one of several is.",
    ),
    Key(
        "newest",
        APP_NAME,
        Derived("what `in_use` says"),
        "The one app of which the newest values are in use whatever `in_use` says: `orch.rotate` passes it along.",
    ),
    Key(
        "skipped",
        mapping(APP_NAME, listing(HOST_NAME), "mapping of apps"),
        {},
        "The hosts that missed what is deployed because they did not answer then, as the master's ledger gives them:"
        " balancers send them nothing.",
    ),
    Key(
        "only",
        APP_NAME,
        Derived("every app"),
        "The one app that hosts see: `orch.deploy` passes it along, so that a deploy leaves the other apps alone.",
    ),
    Key(
        "pulled",
        Kind("true or false", lambda value: isinstance(value, bool), "leave it out: a pull passes it along"),
        False,
        "Whether it is a pull that applies the states, which passes this along: a release that had the traffic of the"
        " host and lost it is not tried again then.",
    ),
    Key(
        "allow",
        listing(VISITOR),
        (),
        "Addresses of visitors who get the app also during maintenance: `orch.maintenance` passes them along.",
    ),
    Key(
        "closed_for",
        choice("maintenance", "restore", fix="leave it out: who passes it along is orch.rollback"),
        "maintenance",
        "Why visitors are kept out: for a `restore` by a rollback, which lets them in again and passes this along.",
    ),
)
