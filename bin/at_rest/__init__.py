"""Secrets at rest: encrypted files of the pillar, which only the master can read. See docs/secrets.md."""


class Refused(Exception):
    """What was asked for is not done; the text says why, and what to do."""
