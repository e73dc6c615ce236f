"""URLs of services with a login in them, as Django projects read them from one variable."""

from urllib.parse import quote, urlencode


def compose(scheme, host, port, path="", user="", password="", **options):
    """
    Return ``scheme://user:password@host:port/path?option=value`` with every part escaped, so that a reader who takes
    the URL apart and decodes the parts finds each as it was.

    host
        A name or an address; one of IPv6 gets its brackets.
    path
        One name: of a database, a number of Redis, a virtual host of RabbitMQ. A ``/`` in it is part of the name.
    user, password
        Both empty: no login. Redis mostly has a password and no user.
    options
        What stands behind the ``?``.
    """
    login = ":".join(map(_escaped, (user, password) if password else (user,)))
    address = f"[{host}]" if ":" in host else host
    query = urlencode(options, quote_via=quote, safe="")
    return f"{scheme}://{login}{'@' if login else ''}{address}:{port}/{_escaped(path)}{'?' if query else ''}{query}"


def _escaped(part):
    return quote(part, safe="")
