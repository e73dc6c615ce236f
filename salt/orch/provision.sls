# Makes every host of the inventory what its roles say, and keeps deploys out meanwhile:
#
#   salt-run state.orchestrate orch.provision
#
# Databases come before the apps that need them, balancers last. It is safe to run at any time: what is right stays.
{% with plan = salt['saltutil.runner']('rollout.provisioning') %}

plan:
  rollout.planned:
    - problems: {{ plan.problems | json }}
    - summary: {{ plan.summary | json }}
{% for app in plan.apps %}
lock-{{ app }}:
  rollout.locked:
    - app: {{ app }}
    - reason: provision every host
    - seconds: 3600
    - require:
      - rollout: plan
    - require_in:
      - preflight: modules
{% endfor %}
modules:
  preflight.synced:
    - hosts: {{ plan.hosts | json }}
    - require:
      - rollout: plan
{% for group in plan.groups %}
{{ group.id }}:
  rollout.applied:
    - hosts: {{ group.hosts | json }}
    - require:
      - id: {{ group.after }}
{% endfor %}
finish:
  rollout.finished:
    - apps: {{ plan.apps | json }}
{% endwith %}
