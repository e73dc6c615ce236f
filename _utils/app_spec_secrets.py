"""What must agree about the secrets file of an app: who gives each key, what its format holds, what may be exported."""

import re

import launch
import secret_formats
import web_servers

# What lies beside the secrets file and is ours. (Names that begin with a dot are no names for it.)
OURS = {"deploy_key", "door.conf", "environment.json", "files", "known_hosts", "launch.py"}
OURS |= {name for server in web_servers.SERVERS.values() for name in (server.config, *server.more)}

# What the deployment sets, and what else changes how the programs of a slot start: an exported value must not.
TAKEN = re.compile(
    r"_|PATH|HOME|USER|LOGNAME|SHELL|SHLVL|PWD|OLDPWD|IFS|ENV|LANG|LANGUAGE|TMPDIR|WEB_CONCURRENCY|SERVER_SOFTWARE"
    rf"|NOTIFY_SOCKET|DJANGO_SETTINGS_MODULE|SECRETS_FILE|{launch.FILE}"
    r"|(LD_|LC_|PYTHON|BASH|GUNICORN_|UWSGI_|GRANIAN_|APACHE_|HTTPD|MOD_WSGI_|WSGI_RUN_|SUPERVISOR_|SLIPWAY_).*"
)


def problems(name, app, secrets):
    """
    Return what is wrong with the secrets file of an app, a sentence each.

    :param app: the app's own pillar, with its defaults
    :param secrets: its secrets, in clear; no sentence has a word of them
    """
    path = f"apps:{name}"
    file, config = app.get("secrets", {}), app.get("config", {})
    secrets = {key: value for key, value in secrets.items() if key != "deploy_key"}
    values = [(f"{path}:config:{key}", key, value) for key, value in config.items()]
    values += [(f"secrets:{name}:{key}", *given) for key, value in secrets.items() for given in _given(key, value)]
    found = [*_doubles(path, name, app, config, secrets), *_place(f"{path}:secrets:path", name, file)]
    found += [problem for value in values for problem in _unfit(path, file, *value)]
    return [*found, *_taken(path, app.get("variables", {}), values)] if file.get("export") else found


def _given(key, value):
    """``(key, value)`` of all that the file has of a secret, sooner or later: the pillar may list several values."""
    if not isinstance(value, (list, tuple)):
        return [(key, value)]
    return [*((key, one) for one in value), (f"{key}_FALLBACKS", list(value))]


def _doubles(path, name, app, config, secrets):
    """The keys come from three places: config, secrets and ourselves."""
    own = {"ALLOWED_HOSTS": "domains"}
    if app.get("database") != "none":
        own["DATABASE_URL"] = "database and passwords:database"
    if app.get("cache") != "none":
        own["CACHE_URL"] = "cache and passwords:cache"
    several = [key for key, value in secrets.items() if isinstance(value, (list, tuple))]
    own |= {f"{key}_FALLBACKS": f"secrets:{name}:{key}" for key in several}
    for where, keys in ((f"{path}:config", config), (f"secrets:{name}", secrets)):
        yield from (f"{where}:{key}: is made from {own[key]}: leave it out" for key in own if key in keys)
    yield from (f"{path}:config:{key}: is in secrets:{name} too: keep one of them" for key in config if key in secrets)


def _place(path, name, file):
    """It lies in the one folder of the app's that root keeps and nobody else can read."""
    folder, _, last = file.get("path", f"/etc/{name}/secrets").rpartition("/")
    if folder != f"/etc/{name}" or last.startswith("."):
        yield f"{path}: {file['path']!r} is not in /etc/{name}: write it as /etc/{name}/secrets.ini"
    elif last in OURS:
        yield f"{path}: {file['path']!r} is a file of ours: take another name in /etc/{name}"


def _unfit(path, file, where, key, value):
    format = file.get("format", "json")
    if problem := secret_formats.misfit(format, key, value):
        yield f"{where}: the format {format} cannot hold it: {problem}, or take another {path}:secrets:format"
    elif file.get("export") and (problem := secret_formats.misfit("environment", key, value)):
        yield f"{where}: it cannot be exported: {problem}, or leave {path}:secrets:export out"


def _taken(path, variables, values):
    for where, key, _ in values:
        if TAKEN.fullmatch(key):
            fix = f"give it another name, or leave {path}:secrets:export out"
            yield f"{where}: it cannot be exported: a variable of that name changes how programs start: {fix}"
        elif key in variables:
            yield f"{where}: is exported, and in {path}:variables too: keep one of them"
