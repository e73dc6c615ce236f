# Brings a revision of an app to its hosts:
#
#   salt-run state.orchestrate orch.deploy pillar='{"app": "shop", "revision": "v1"}'
{% with plan = salt['saltutil.runner']('rollout.steps', arg=[salt['pillar.get']('app'), salt['pillar.get']('revision')]) %}
{% include 'orch/steps.jinja' %}
{% endwith %}
