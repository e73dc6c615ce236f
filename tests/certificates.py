"""Certificates for tests: nobody but the tests believes them."""


def self_signed(folder, name):
    """The command that makes ``fullchain.pem`` and ``privkey.pem`` in a folder, another pair each time."""
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    files = ["-keyout", f"{folder}/privkey.pem", "-out", f"{folder}/fullchain.pem"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    return ["openssl", "req", "-x509", "-days", "30", *key, *names, *files]
