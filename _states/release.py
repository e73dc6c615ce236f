"""Releases of an app on this host, complete or absent."""

import state_result


@state_result.failures_are_results
def staged(name, source, commit, mirror, downloads, venvs, requirements, python, environment, packages=()):
    """
    Ensure that a release is ready to run; nothing that runs is touched, and a release that is there costs no process.

    name
        The path of the release, which ends with its id.
    source, commit, mirror, downloads, venvs, requirements, python, environment, packages
        As ``releases.stage`` takes them.

    .. code-block:: yaml

        shop-release:
          release.staged:
            - name: /srv/shop/releases/1a2b3c4d5e6f
            - source: {kind: git, url: https://git.example.com/shop.git}
            - commit: 1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d
            - mirror: /srv/shop/source.git
            - downloads: /srv/shop/downloads
            - venvs: /srv/shop/venvs
            - requirements: ""
            - python: python3
            - environment: production
            - packages: ["gunicorn==27.0.1"]
    """
    lacking = __salt__["releases.lacks"](name, requirements, python, environment)
    missing = [] if lacking else __salt__["releases.missing_packages"](name, packages)
    if not lacking and not missing:
        return state_result.unchanged(name, "The release is ready")
    changes = {"staged": lacking} if lacking else {"packages": missing}
    what = f"The {lacking}" if lacking else ", ".join(missing)
    if __opts__["test"]:
        return state_result.would(name, changes, f"{what} would be made ready")
    places = (mirror, downloads, venvs)
    __salt__["releases.stage"](name, source, commit, *places, requirements, python, environment, packages)
    return state_result.changed(name, changes, f"{what} was made ready")


@state_result.failures_are_results
def pruned(name, keep, slots, release, venvs, furnished="", protect=()):
    """
    Ensure that old releases, and venvs that none needs, are gone; never one that runs, is wanted or is protected.

    name
        The folder of the releases.
    keep
        How many stay, the wanted one counted even before it is there.
    slots, release, venvs, furnished, protect
        As ``releases.prunable`` takes them.

    .. code-block:: yaml

        shop-old-releases:
          release.pruned:
            - name: /srv/shop/releases
            - keep: 5
            - slots: /srv/shop/slots
            - release: /srv/shop/releases/1a2b3c4d5e6f
            - venvs: /srv/shop/venvs
            - furnished: /srv/shop/furnished
            - protect: [0f1e2d3c4b5a]
    """
    question = (name, keep, slots, release, list(protect), venvs, furnished)
    doomed = __salt__["releases.prunable"](*question)
    if not doomed:
        return state_result.unchanged(name, "Nothing is left over")
    if __opts__["test"]:
        return state_result.would(name, {"removed": doomed}, f"{len(doomed)} folders would be removed")
    removed = __salt__["releases.prune"](*question)
    return state_result.changed(name, {"removed": removed}, f"{len(removed)} folders were removed")
