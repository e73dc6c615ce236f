"""The pillar on disk, as far as secrets need it: which apps there are, and which file holds which secret."""

import dataclasses
import os
import sys
import types
from importlib.util import find_spec
from pathlib import Path

from at_rest import Refused, gpg, sls

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "_utils"))
if not find_spec("salt"):
    # Secrets are set on machines without Salt too; app_spec wants of it the class of its error only.
    sys.modules["salt.exceptions"] = types.SimpleNamespace(CommandExecutionError=Exception)
    sys.modules["salt"] = types.SimpleNamespace(exceptions=sys.modules["salt.exceptions"])

import app_spec  # noqa: E402
import app_spec_checks  # noqa: E402
import app_spec_keys  # noqa: E402

# Keys of the secrets file that are not asked for.
OWN = ("ALLOWED_HOSTS", "CACHE_URL", "DATABASE_URL")


@dataclasses.dataclass(frozen=True)
class Pillar:
    """
    The pillar whose secrets are in ``folder``, and the master's keyring in ``keys``.

    What ``folder`` has not got but secrets comes from the pillar of this tree, as with two folders in ``pillar_roots``.
    """

    folder: Path
    keys: Path

    @property
    def secrets(self):
        return self.folder / "secrets"

    @property
    def public(self):
        return self.secrets / "public.asc"

    @property
    def is_of_tree(self):
        """Whether it is the pillar of this repository, the only one that may hold fake values."""
        return self.folder.resolve() == TREE / "pillar"

    @property
    def user(self):
        """Who runs the master, ``(uid, gid)``: who owns its other keys. Without a master whoever asks."""
        pki = self.keys.parent / "pki/master"
        return (pki.stat().st_uid, pki.stat().st_gid) if pki.is_dir() else (os.getuid(), os.getgid())

    def files(self):
        """``{path in the pillar: text}`` of the secrets files."""
        found = sorted(self.secrets.rglob("*.sls"))
        return {str(file.relative_to(self.folder)): file.read_text(encoding="utf-8") for file in found}

    def apps(self):
        """``{name: app}`` as typed, of the files that ``apps/init.sls`` includes."""
        apps = {}
        for name in self._data("apps/init.sls").get("include") or []:
            apps.update(self._data(f"{str(name).replace('.', '/')}.sls").get("apps") or {})
        return apps

    def app(self, name):
        """The name of an app that there is."""
        known = list(self.apps())
        if name not in known:
            fix = app_spec_checks.suggestion(name, known)
            raise Refused(f"APP={name}: there is no such app in pillar/apps: {fix}. As: make secret APP=shop KEY=X")
        return name

    def fleet(self, secrets, passwords):
        """The whole pillar completed, with secrets that have names only, ``{app: names}``; ``SpecError``."""
        pillar = {"hosts": self._data("hosts.yaml"), "apps": self.apps()}
        pillar["secrets"] = {app: dict.fromkeys(names, "x") for app, names in secrets.items()}
        pillar["passwords"] = {
            service: {app: "x" for app, names in passwords.items() if key in names}
            for key, service in sls.PASSWORDS.items()
        }
        return app_spec.load(pillar)

    def _data(self, path):
        file = next((folder / path for folder in (self.folder, TREE / "pillar") if (folder / path).exists()), None)
        return sls.parsed(file.read_text(encoding="utf-8"), str(file)) if file else {}


def check_key(key):
    """The name of a secret; ``Refused`` for one that it cannot have."""
    if key in OWN:
        raise Refused(f"KEY={key}: is made by Slipway: leave it out")
    if not app_spec_keys.VARIABLE_NAME.fits(key):
        raise Refused(f"KEY={key}: is no name of a variable: {app_spec_keys.VARIABLE_NAME.fix}")
    return key


def check_value(key, value):
    """The value of a secret; ``Refused`` for one that the pillar cannot have, which is not shown."""
    kind = app_spec_keys.PASSWORD if key in sls.PASSWORDS else app_spec_keys.SECRET
    if value.startswith(gpg.MESSAGE):
        raise Refused(f"KEY={key}: the value is encrypted already: give it in clear")
    if not kind.fits(value):
        raise Refused(f"KEY={key}: the value is no {kind.words}: {kind.fix.removesuffix(', in quotes')}")
    return value
