"""The config files of an app: the part of ``app_spec`` about the pillar's key ``files``."""

import re
import shlex

import app_spec_classes
import app_spec_secrets

SOURCES = ("contents", "source", "template")
# What Slipway itself puts into the two places; a release's own are those of `releases`, `manage` and `app_files`.
OWN = {
    "etc": "|".join([r"secrets(\..*)?", *map(re.escape, sorted(app_spec_secrets.OURS))]),
    "release": r"\.venv(\..*)?|\.release|\.inputs\.json|\.static|\.app_files\.json",
}


def files(app):
    """Return the ``AppFile`` of a checked app, in the order of the pillar."""
    return tuple(_file(name, file) for name, file in app["files"].items())


def variables(files, folder):
    """Return the variables that name files of the app, which are below ``folder``."""
    return {file.variable: f"{folder}/{file.name}" for file in files if file.variable}


def problems(path, app, own, told):
    """
    Return a sentence for each thing in the files of an app that does not agree with another.

    :param own: names of variables that every app has
    :param told: what has been told already
    """
    files, found = app.get("files", {}), []
    for name, file in files.items():
        sentences = [*_of_name(name, file, files), *_of_secrets(name, file, app), *_of_mode(file, app["user"])]
        # One that is there and no good has been told.
        if not any(line.startswith(f"{path}:{name}:{source}:") for line in told for source in SOURCES):
            sentences += _of_source(file)
        found += [f"{path}:{name}{sentence}" for sentence in sentences]
    taken = dict.fromkeys(own, "Slipway itself") | dict.fromkeys(app.get("variables", {}), "variables")
    return found + _of_variables(path, files, taken)


def _file(name, file):
    kind = next(source for source in SOURCES if source in file)
    return app_spec_classes.AppFile(
        name=name,
        into=file["into"],
        kind=kind,
        origin=app_spec_classes.Secret(file[kind]) if file["secret"] and kind == "contents" else file[kind],
        secret=file["secret"],
        owner=file["owner"],
        mode=int(file["mode"], 8),
        check=tuple(shlex.split(file.get("check", ""))),
        variable=file.get("variable", ""),
    )


def _of_source(file):
    found = [source for source in SOURCES if source in file]
    if len(found) != 1:
        yield f": needs one of {', '.join(SOURCES)} and has {' and '.join(found) or 'none'}: keep or add one"


def _of_name(name, file, files):
    into = file.get("into", "etc")
    first = name.partition("/")[0]
    if re.fullmatch(OWN[into], first):
        yield f": {first} is Slipway's own there: choose another name"
    parents = {name[:end] for end, letter in enumerate(name) if letter == "/"}
    for other in sorted(parents & files.keys()):
        if files[other].get("into", "etc") == into:
            yield f": {other} is a file itself: choose another name"


def _of_secrets(name, file, app):
    path = app.get("secrets", {}).get("path", "")
    if file.get("into", "etc") == "etc" and path.endswith(f"/{name.partition('/')[0]}"):
        yield f": {path} is the secrets file: choose another name"


def _of_mode(file, user):
    owner, mode = file.get("owner", "root"), int(file.get("mode", "0640"), 8)
    if owner not in ("root", user):
        yield f":owner: {owner!r} is neither root nor the user of the app: write root or {user}"
    elif owner == "root" and not mode & 0o044:
        yield f":mode: {mode:04o} keeps the app from reading what is root's: write 0640, or owner: {user}"
    if file.get("secret") and mode & 0o007:
        yield f":mode: {mode:04o} lets every user of the host read a secret file: write 0640"


def _of_variables(path, files, taken):
    found = []
    for name, file in files.items():
        here, variable = f"{path}:{name}:variable", file.get("variable", "")
        if variable and file.get("into") == "release":
            found.append(f"{here}: a file in the release is found in its own folder: leave it out")
        elif variable in taken:
            found.append(f"{here}: {variable} is taken by {taken[variable]}: choose another")
        elif variable:
            taken[variable] = f"files:{name}"
    return found
