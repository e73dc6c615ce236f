"""What is wrong with the secrets of a pillar: each finding names the file, the key and what to do, never a value."""

import os
import re
import subprocess
from pathlib import Path

from at_rest import Refused, gpg, sls
from at_rest.pillar import app_spec, app_spec_checks

FAKE = re.compile(r"(#!.*\n)?# FAKE")
# The line that begins a private key is one only with a key below it: tests and pages name such lines too.
MARK = "-----BEGIN [A-Z ]*PRIVATE KEY"
PRIVATE_KEY = re.compile(rf"{MARK}( BLOCK)?-----(\s|\\n)+([\w-]+: .*(\s|\\n)+)*[A-Za-z0-9+/=]{{40}}", re.ASCII)
# What git greps in, and how a file there is named for it.
WORKING, STAGED, COMMITTED = "", "staged", "committed"
GREPPED = {WORKING: ["--untracked"], STAGED: ["--cached"], COMMITTED: ["HEAD"]}
REVISIONS = {STAGED: ":", COMMITTED: "HEAD:"}
OURS = ("secrets:", *(f"passwords:{service}:" for service in sls.PASSWORDS.values()))
SET = "set it with make secret"
# Of keys of the operator's own, in pillar/secrets/role_<role>.sls say.
ENCRYPT = "encrypt it: gpg --armor --trust-model always --recipient-file pillar/secrets/public.asc --encrypt"


def findings(pillar):
    """``(problems, notes)``: sentences. Notes are about what may stay in a pillar for local testing only."""
    files, problems, notes = {}, [], []
    for name, text in pillar.files().items():
        try:
            sls.parsed(text, name)
            files[name] = text
        except Refused as error:
            problems.append(str(error))
    for look in (_in_clear, _committed, _private_keys, _messages, _keys):
        try:
            problems += look(pillar, files)
        except (Refused, app_spec.SpecError) as error:
            problems += str(error).splitlines()
    for name, text in files.items():
        notes += [f"{name}: {key}: fake, for local testing only" for key in _clear(pillar, name, text)[1]]
    return list(dict.fromkeys(problems)), notes


def _in_clear(pillar, files):
    for name, text in files.items():
        for key in _clear(pillar, name, text)[0]:
            yield f"{name}: {key}: in clear: {SET if key.startswith(OURS) else ENCRYPT}"


def _committed(pillar, files):
    """What git has of the secrets files, of those too that have been changed or removed since."""
    listed = {
        STAGED: _git(pillar.folder, "ls-files", "-z", "--", "secrets"),
        COMMITTED: _git(pillar.folder, "ls-tree", "-rz", "--name-only", "HEAD", "--", "secrets"),
    }
    for where, names in listed.items():
        for name in (name for name in names.split("\0") if name.endswith(".sls")):
            text = _git(pillar.folder, "show", f"{REVISIONS[where]}./{name}")
            for key in _clear(pillar, name, text)[0] if text != files.get(name) else ():
                yield f"{name}: {key}: {where} in clear: stage the encrypted one; once pushed, it needs a new value too"


def _clear(pillar, name, text):
    """The keys in a file whose values everybody can read, and those whose values say that they are fake."""
    clear, fake = [], []
    may_be_fake = pillar.is_of_tree and FAKE.match(text)
    for path, value in sls.leaves(sls.parsed(text, name)):
        shown = [one for one in sls.several(value) if not (sls.is_message(one) or sls.is_fetched(one))]
        if value not in ({}, [], None) and shown:
            is_fake = may_be_fake and all("fake" in str(one) for one in shown)
            (fake if is_fake else clear).append(":".join(path))
    return clear, fake


def _private_keys(pillar, files):
    """Files with a private key anywhere in the repository of the pillar, or in the pillar if it is in none."""
    root = _repository(pillar.folder)
    found = _grepped(root) if root else {str(file): WORKING for file in pillar.folder.rglob("*") if file.is_file()}
    for name, where in found.items():
        text = _git(root, "show", f"{REVISIONS[where]}{name}") if where else _text(Path(root, name))
        if PRIVATE_KEY.search(text):
            yield (
                f"{name}: a private key, {where or 'not encrypted'}: take it out, and into use a new one:"
                " an app's goes into the pillar by make secret APP=... KEY=deploy_key < file"
            )


def _grepped(root):
    found = {}
    for where, options in GREPPED.items():
        names = _git(root, "grep", "-lzE", "-e", MARK, *options).split("\0")
        found |= {name.removeprefix("HEAD:"): where for name in names if name and name not in found}
    return found


def _messages(pillar, files):
    """Whether the master will decrypt what is encrypted."""
    messages = [(name, *leaf) for name, text in files.items() for leaf in sls.messages(text, name)]
    for name in dict.fromkeys(name for name, _, _ in messages):
        if not sls.is_decrypted(files[name]):
            yield f"{name}: Salt would not decrypt it: make its first line {sls.RENDERER}"
    if not pillar.public.exists():
        if messages:
            yield "secrets/public.asc: missing: bring it back, or make secrets-init on the master writes it"
        return
    key = gpg.public_key(pillar.public)
    if os.access(pillar.keys, os.R_OK | os.X_OK) and key not in gpg.private_keys(pillar.keys, pillar.user):
        yield f"secrets/public.asc: {key.fingerprint} is no key of this master: whose is it? See make secrets-init"
    for name, path, message in messages:
        if not gpg.is_for(key, message):
            yield f"{name}: {':'.join(path)}: damaged, or not encrypted for secrets/public.asc: make secrets-rekey"


def _keys(pillar, files):
    """Whether every app has what it needs, and nothing is there that no app uses."""
    apps, secrets, passwords, fakes = pillar.apps(), {}, {}, []
    for name, text in files.items():
        fakes += [f"{name}: {key}" for key in _clear(pillar, name, text)[1]]
        for app, key in sls.keys(text, name):
            file, path = sls.place(app, key)
            where = f"{name}: {':'.join(path)}"
            if app not in apps:
                yield f"{where}: there is no such app: {app_spec_checks.suggestion(app, list(apps))}"
                continue
            if f"secrets/{file}" != name:
                yield f"{where}: hosts get secrets by the file: this belongs into secrets/{file}"
            given = passwords if key in sls.PASSWORDS else secrets
            given.setdefault(app, {})[key] = where
    for app in pillar.fleet(secrets, passwords).apps:
        yield from _missing(app, secrets.get(app.name, {}), passwords.get(app.name, {}))
        yield from _unused(app, secrets.get(app.name, {}), passwords.get(app.name, {}), fakes)


def _missing(app, secrets, passwords):
    missing = {"SECRET_KEY": not any(key.endswith("SECRET_KEY") for key in secrets)}
    missing |= {key: getattr(app, what) and key not in passwords for key, what in sls.PASSWORDS.items()}
    for key in (key for key in missing if missing[key]):
        file, path = sls.place(app.name, key)
        how = f"make secret APP={app.name} KEY={key} GENERATE=50"
        yield f"secrets/{file}: {':'.join(path)}: missing: set it, or have one made: {how}"


def _unused(app, secrets, passwords, fakes):
    """The shop of this repository has a password for its cache, fake, also where the inventory has no cache."""
    if "database_password" in passwords and not app.database:
        yield f"{passwords['database_password']}: apps:{app.name}:database is none: remove it"
    if "cache_password" in passwords and not app.cache and passwords["cache_password"] not in fakes:
        yield f"{passwords['cache_password']}: {app.name} has no cache: remove it, or give a host the role cache"
    if "deploy_key" in secrets and app.source.kind != "git":
        yield f"{secrets['deploy_key']}: apps:{app.name}:source is no git: remove it"


def _repository(folder):
    """The root of the repository that a folder is in, empty if it is in none; ``Refused`` if git does not say."""
    root = _git(folder, "rev-parse", "--show-toplevel").strip()
    if not root and any((above / ".git").exists() for above in (folder, *folder.parents)):
        raise Refused(f"what git has was not looked at: git -C {folder} status says why")
    return root


def _git(folder, *arguments):
    """What git prints; nothing if it fails: there is no repository, no commit yet, or no such file."""
    argv = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(argv, capture_output=True)
    except FileNotFoundError:
        return ""
    return "" if done.returncode else done.stdout.decode(errors="replace")


def _text(file):
    return file.read_bytes().decode(errors="replace") if file.is_file() else ""
