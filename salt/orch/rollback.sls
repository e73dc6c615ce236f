# Brings the release that was deployed before back to an app's hosts, or the one that `to` names:
#
#   salt-run state.orchestrate orch.rollback pillar='{"app": "shop"}'
#
# Migrations that ran since stay applied; over unsafe ones only with `keep_migrations: true`, or with `restore: true`,
# which brings the database back as it was before them.
{% with plan = salt['saltutil.runner']('rollout.way_back', arg=[
    salt['pillar.get']('app'), salt['pillar.get']('to'), salt['pillar.get']('keep_migrations'),
    salt['pillar.get']('restore'),
]) %}
{% include 'orch/steps.jinja' %}
{% endwith %}
