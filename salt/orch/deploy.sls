# Brings a revision of an app to its hosts:
#
#   salt-run state.orchestrate orch.deploy pillar='{"app": "shop", "revision": "v1"}'
#
# With `allow_unsafe: true` also with migrations that the release before may not work with.
{% with plan = salt['saltutil.runner']('rollout.way_forth', arg=[
    salt['pillar.get']('app'), salt['pillar.get']('revision'), salt['pillar.get']('allow_unsafe'),
]) %}
{% include 'orch/steps.jinja' %}
{% endwith %}
