import base64
import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scram

# RFC 7677, section 3: user "user", password "pencil".
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
MESSAGE = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={NONCE}".encode()
CLIENT_PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SERVER_SIGNATURE = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")

PASSWORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
ASCII = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=20)


def keys(verifier):
    return [base64.b64decode(key) for key in scram.VERIFIER.fullmatch(verifier).group("stored", "server")]


def test_the_server_signature_of_the_rfc_follows_from_the_verifier():
    _, server_key = keys(scram.verifier("pencil", SALT))
    assert hmac.digest(server_key, MESSAGE, "sha256") == SERVER_SIGNATURE


def test_the_client_proof_of_the_rfc_is_accepted_by_the_verifier():
    stored_key, _ = keys(scram.verifier("pencil", SALT))
    signature = hmac.digest(stored_key, MESSAGE, "sha256")
    client_key = bytes(a ^ b for a, b in zip(CLIENT_PROOF, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key


@settings(max_examples=25, deadline=None)
@given(PASSWORD)
def test_a_password_matches_its_own_verifier(password):
    assert scram.matches(password, scram.verifier(password, iterations=1))


@settings(max_examples=25, deadline=None)
@given(ASCII, ASCII)
def test_another_password_does_not_match(password, other):
    assert scram.matches(other, scram.verifier(password, iterations=1)) == (password == other)


def test_two_verifiers_of_one_password_differ_by_their_salt():
    assert scram.verifier("pencil") != scram.verifier("pencil")


@pytest.mark.parametrize("stored", ["", "md5f9cb2c9ab1d2a3a3f6b6d3b3a7c2b1c0", "SCRAM-SHA-256$4096:x", "pencil"])
def test_what_is_no_verifier_matches_nothing(stored):
    assert not scram.matches("pencil", stored)


# The examples of RFC 4013, section 3, and the rule of U+200B; PostgreSQL hashes a forbidden text as it is.
@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("a\u200bb", "a b"),
        ("\u0627\u0031", "\u0627\u0031"),
        ("\u0627\u2168\u0628", "\u0627\u2168\u0628"),
        ("\u00ad", "\u00ad"),
        ("\u00e9\u0007", "\u00e9\u0007"),
        ("\u0221\u2168", "\u0221\u2168"),
    ],
)
def test_a_password_is_prepared_as_the_rfc_and_postgresql_say(password, prepared):
    assert scram.prepared(password) == prepared.encode()
