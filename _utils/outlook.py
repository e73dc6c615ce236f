"""
What a deploy would do, in words and as data, from what ``rollout.way_forth`` knows and ``releases.preview`` found out.

``look`` is that part of a plan, ``found`` what the function of that name here makes of a host's answer.
"""

# None is what nobody knows.
NOTHING = {"requirements": None, "migrations": None, "unsafe": {}, "unexamined": {}, "unknown": "", "problem": ""}

# What Salt says of a function that the host has not got.
ABSENT = "is not available"


def found(look, answer):
    """
    The answer of the host that was asked, in full; ``answer`` is a text where there was none.

    A host that has not the master's modules yet, as before a first deploy, is no problem of the release.
    """
    if isinstance(answer, str):
        answer = {"unknown" if answer.rstrip(".").endswith(ABSENT) else "problem": answer}
    where = {key: f"{look['host']}: {answer[key]}" for key in ("unknown", "problem") if answer.get(key)}
    return {**NOTHING, **answer, **where}


def words(look, found):
    """``{label: words}``, one line each but for problems, of a plan without problems of its own."""
    problem = {"problem": found["problem"]} if found["problem"] else {}
    return {
        **dict(look["told"]),
        "migrations": _migrations(found),
        "requirements": _requirements(found, look["back"]),
        "dump": _dump(look["databases"], found["migrations"]),
        **_back(look["back"], found["unsafe"] | found["unexamined"], look["databases"]),
        **problem,
    }


def data(look, found):
    """The same for programs."""
    asked = {key: found[key] for key in ("migrations", "unsafe", "unexamined", "requirements", "unknown")}
    dumps = look["databases"] if found["migrations"] else []
    problems = [found["problem"]] if found["problem"] else []
    return {**asked, "dumps": dumps, "way_back": look["back"], "problems": problems}


def _migrations(found):
    if found["migrations"] is None:
        return f"known when the release is staged ({found['unknown'] or 'see the problem'})"
    pending = [f"{name}{_judgement(name, found)}" for name in found["migrations"]]
    word = "; needs allow_unsafe: true" if found["unsafe"] else ""
    return f"{', '.join(pending) or 'none'}{word}"


def _judgement(name, found):
    if name in found["unsafe"]:
        return f" (unsafe: {'; '.join(found['unsafe'][name])})"
    return f" (not examined: {found['unexamined'][name]})" if name in found["unexamined"] else ""


def _requirements(found, back):
    changed = found["requirements"]
    if changed is None:
        return "known when the release is staged"
    if changed and back == []:
        return f"{len(changed)} packages, all new"
    return ", ".join(_change(name, *versions) for name, versions in changed.items()) or "as they are"


def _change(name, old, new):
    if not old:
        return f"{name} {new} (new)"
    return f"{name} {old} -> {new}" if new else f"{name} {old} (removed)"


def _dump(databases, pending):
    if not databases or pending == []:
        return "none"
    dumps = ", ".join(f"{database['name']} on {database['host']}" for database in databases)
    return f"{dumps}, {'if migrations are pending' if pending is None else 'before the migrations'}"


def _back(releases, unsafe, databases):
    """Nothing of a rollback, of which ``releases`` is None. Migrations that only add are no hindrance."""
    if releases is None:
        return {}
    words = " or ".join(["keep_migrations: true", *["restore: true"] * bool(databases)])
    word = f", with {words}" if unsafe else ""
    back = ", ".join(f"{release['revision']} ({release['id']}){word}" for release in releases)
    return {"way back": back or "none: nothing is deployed yet"}
