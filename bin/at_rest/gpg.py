"""GnuPG as a program: arguments are a list, and what is secret goes by stdin."""

import dataclasses
import os
import subprocess
import tempfile

from at_rest import Refused

MESSAGE, END = "-----BEGIN PGP MESSAGE-----", "-----END PGP MESSAGE-----"
EXAMPLE = f"{MESSAGE}\n\n\n{END}"

# Elliptic keys, which the gpg of every distribution we run on knows. When a master compiled many pillars at once, 7 of
# 40 decryptions with an RSA key of 4096 bits failed in our measurement ("Cannot allocate memory"), of these 0 of 400,
# each in a third of the time. No passphrase: the renderer has nobody to ask.
NEW_KEY = """\
%no-protection
Key-Type: eddsa
Key-Curve: ed25519
Key-Usage: sign
Subkey-Type: ecdh
Subkey-Curve: cv25519
Subkey-Usage: encrypt
Name-Real: Slipway
Name-Comment: secrets of the pillar
Expire-Date: 0
%commit
"""


@dataclasses.dataclass(frozen=True)
class Key:
    """A key pair: the fingerprint by which people know it, and the ids of its parts that encrypt."""

    fingerprint: str
    encrypts: tuple


def public_key(file):
    """The one key in an exported file."""
    with tempfile.TemporaryDirectory() as home:
        keys = _keys(_run(home, "--with-colons", "--show-keys", str(file)))
    if len(keys) != 1:
        raise Refused(f"{file}: holds {len(keys)} keys and not one: export it again with make secrets-init")
    return keys[0]


def private_keys(home, user):
    """The keys of a keyring of which it has the private part, the oldest first."""
    return _keys(_run(home, "--with-colons", "--list-secret-keys", user=user)) if home.is_dir() else []


def make_key(home, user):
    """Make a key pair in a keyring, and return it."""
    known = private_keys(home, user)
    _run(home, "--full-generate-key", stdin=NEW_KEY, user=user)
    return next(key for key in private_keys(home, user) if key not in known)


def export(home, user, key):
    """The public part of a key, as text."""
    return _run(home, "--armor", "--export", key.fingerprint, user=user)


def make_folder(home, user):
    """Make the folder of a keyring, which is for its user alone."""
    home.mkdir(mode=0o700, exist_ok=True)
    home.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(home, *user)


def stop_agent(home, user):
    """End the agent of a keyring; the next gpg starts it again."""
    _call(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], "", user)


def encrypt(value, public):
    """A message with the text ``value`` that only the owner of the key in the file ``public`` can read."""
    with tempfile.TemporaryDirectory() as home:
        argv = ["--armor", "--trust-model", "always", "--recipient-file", str(public), "--encrypt"]
        return _run(home, *argv, stdin=value).strip()


def decrypt(message, home, user):
    """The text in a message; ``Refused`` without the private key for it."""
    return _run(home, "--decrypt", stdin=message, user=user)


def is_for(key, message):
    """Whether a message, which must be whole, is encrypted for a key."""
    with tempfile.TemporaryDirectory() as home:
        try:
            packets = _run(home, "--list-only", "--list-packets", stdin=message)
        except Refused:
            return False
    return any(f"keyid {part}" in packets for part in key.encrypts)


def _keys(listing):
    """The keys in what gpg lists for programs: of ``sub`` field 5 is the id and 12 what it can do (doc/DETAILS)."""
    found = []
    for line in listing.splitlines():
        fields = line.split(":")
        if fields[0] in ("pub", "sec"):
            found.append(Key("", ()))
        elif fields[0] == "fpr" and not found[-1].fingerprint:
            found[-1] = dataclasses.replace(found[-1], fingerprint=fields[9])
        elif fields[0] in ("sub", "ssb") and "e" in fields[11]:
            found[-1] = dataclasses.replace(found[-1], encrypts=(*found[-1].encrypts, fields[4]))
    return found


def _run(home, *arguments, stdin="", user=None):
    return _call(["gpg", "--homedir", str(home), "--batch", "--no-tty", "--quiet", *arguments], stdin, user)


def _call(argv, stdin, user):
    """The output of a program that is run as ``user``, ``(uid, gid)``; by root only, others are themselves."""
    become = {"user": user[0], "group": user[1], "extra_groups": []} if user and os.geteuid() == 0 else {}
    try:
        done = subprocess.run(argv, input=stdin.encode(), capture_output=True, cwd="/", **become)
    except FileNotFoundError:
        raise Refused(f"{argv[0]} is not installed: apt-get install gnupg") from None
    if done.returncode:
        raise Refused(f"{argv[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()
