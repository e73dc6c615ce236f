"""
A secret that is being rotated: the values that the pillar has of it, the newest first, and which of them is in use.

The ledger notes what is in use by its fingerprint, and the pillar has that as ``in_use``. Each host accepts a newer
value before any host uses it, and an older one for some days after: nobody ever meets a value that he does not know.
Where nothing is noted the last value is in use, which was there before the others were written in front of it.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone


def fingerprint(path, secret):
    """
    Return 8 hexadecimal digits by which the values of one secret can be told apart.

    They are of SHA-256 over the pillar's key and the value. Of a value made by chance they tell nothing that helps. Of
    one that can be guessed they tell whether a guess may be right: only the master's ledger and the hosts that have the
    value itself get them.

    :param path: the key as typed, ``secrets:shop:SECRET_KEY``
    :param secret: the value, a ``Secret``
    """
    return hashlib.sha256(f"{path}\0{secret.reveal()}".encode()).hexdigest()[:8]


@dataclasses.dataclass(frozen=True)
class Several:
    """
    The values of one secret, ``Secret`` each, the newest first; a single one is in use as it is.

    ``path`` is the pillar's key, ``noted`` what the ledger has about it (``app_spec_keys.IN_USE``), ``{}`` if nothing.
    ``newest`` is true while a rotation brings the newest value into use and the ledger does not say so yet.
    """

    path: str
    values: tuple
    noted: Mapping
    newest: bool

    @property
    def is_due(self):
        """Whether a newer value than the one in use waits."""
        return self._position() != 0

    @property
    def is_open(self):
        """Whether there is something for a rotation to do: a newer value waits, or an older one may still run."""
        return self.is_due or bool(self.noted.get("overlap"))

    @property
    def current(self):
        """The value in use."""
        return self.values[self._position()]

    def others(self, days):
        """
        The values that are accepted besides.

        :param days: how long an older one is, after the ledger has noted the one in use
        """
        at = self._position()
        older = () if self.ended(days) else self.values[at + 1 :]
        return (*self.values[:at], *older)

    def ends(self, days):
        """When older values are accepted no more; ``None`` if nobody has noted since when they are older."""
        if self.noted.get("value") != fingerprint(self.path, self.current):
            return None
        return datetime.fromisoformat(self.noted["since"]) + timedelta(days=days)

    def ended(self, days):
        """Whether older values are accepted no more."""
        end = self.ends(days)
        return end is not None and end <= datetime.now(timezone.utc)

    def accepted(self):
        """
        The values that are accepted where one login may have several, and whether no other is.

        While a newer one waits, or an older one may still run, all of the pillar's are. One that is not there stays
        then, too: somebody may still use it.
        """
        is_over = self.newest or not self.is_open
        return (self.current,) if is_over else self.values, is_over

    def login(self):
        """The number, 1 or 2, of the login that goes with the value in use: a new password goes to the other one."""
        used = self.noted.get("login", 1)
        return other(used) if self.newest and self._noted_position() != 0 else used

    def logins(self):
        """
        ``{number: password}`` of the two logins, ``None`` for one that must not get in. One that is not there stays as
        it is: somebody may still use it.
        """
        used = self.login()
        if self.is_due:
            return {used: self.current, other(used): self.values[0]}
        if self.noted.get("overlap") and not self.newest:
            return {used: self.current}
        return {used: self.current, other(used): None}

    def _position(self):
        return 0 if self.newest else self._noted_position()

    def _noted_position(self):
        if len(self.values) == 1:
            return 0
        found = [fingerprint(self.path, value) for value in self.values]
        noted = self.noted.get("value")
        return found.index(noted) if noted in found else len(found) - 1


def other(login):
    """The number of the other login."""
    return 3 - login
