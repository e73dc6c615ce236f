"""
What PostgreSQL stores instead of a password: SCRAM-SHA-256 verifiers, made and compared without the server.

A verifier (RFC 5802, RFC 7677) proves that somebody knows the password and does not tell it, so the password itself
never leaves this process: PostgreSQL takes a ready verifier in ``CREATE ROLE ... PASSWORD``.
"""

import base64
import hashlib
import hmac
import os
import re
import stringprep
import unicodedata

# RFC 7677, section 4, asks for 4096 at least; PostgreSQL's own default (scram_iterations).
ITERATIONS = 4096

# Bytes; PostgreSQL's SCRAM_DEFAULT_SALT_LEN.
SALT_LENGTH = 16

VERIFIER = re.compile(
    r"SCRAM-SHA-256\$(?P<iterations>[1-9][0-9]*):(?P<salt>[A-Za-z0-9+/=]+)"
    r"\$(?P<stored>[A-Za-z0-9+/=]+):(?P<server>[A-Za-z0-9+/=]+)"
)

# RFC 4013, section 2.3, and unassigned code points (section 2.5). Python's tables are those of Unicode 3.2, as RFC 3454
# wants it and as PostgreSQL has them.
PROHIBITED = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def verifier(password, salt=b"", iterations=ITERATIONS):
    """
    The verifier of a password, as ``pg_authid.rolpassword`` holds it.

    password
        Text of at least one character.
    salt
        Bytes; random ones if empty.
    """
    salt = salt or os.urandom(SALT_LENGTH)
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, iterations)
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server_key = _hmac(salted, b"Server Key")
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def matches(password, stored):
    """Whether ``stored``, a role's rolpassword, is a SCRAM-SHA-256 verifier of the password; False for any other."""
    parts = VERIFIER.fullmatch(stored)
    if not parts:
        return False
    salt = base64.b64decode(parts["salt"])
    return hmac.compare_digest(verifier(password, salt, int(parts["iterations"])), stored)


def prepared(password):
    """The bytes that are hashed: by SASLprep (RFC 4013), or as they are where that forbids them, as in PostgreSQL."""
    if password.isascii():
        return password.encode()
    mapped = "".join(_mapped(character) for character in password)
    return (unicodedata.normalize("NFKC", mapped) if _is_allowed(mapped) else password).encode()


def _mapped(character):
    # U+200B is in both tables; PostgreSQL makes it a space.
    if stringprep.in_table_c12(character):
        return " "
    return "" if stringprep.in_table_b1(character) else character


def _is_allowed(text):
    # RFC 3454 asks it of the normalized text. PostgreSQL, and with it every libpq, asks it of the text before.
    if not text or any(prohibits(character) for prohibits in PROHIBITED for character in text):
        return False
    right_to_left = [stringprep.in_table_d1(character) for character in text]
    if not any(right_to_left):
        return True
    return right_to_left[0] and right_to_left[-1] and not any(map(stringprep.in_table_d2, text))


def _hmac(key, message):
    return hmac.digest(key, message, "sha256")


def _text(octets):
    return base64.b64encode(octets).decode()
