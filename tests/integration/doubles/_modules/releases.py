"""A double of _modules/releases.py: a revision's id is its name."""


def resolve(source, revision, mirror):
    """As the original."""
    __salt__["doubles.act"]("resolve")
    return {"id": revision, "commit": revision * 2}
