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
      - salt: modules
{% endfor %}
modules:
  salt.function:
    - name: saltutil.sync_all
    # Named, because without it the host renders top.sls first, which needs the modules that are about to come.
    - kwarg: {saltenv: base}
    - tgt: {{ plan.hosts | json }}
    - tgt_type: list
    - expect_minions: True
    - require:
      - rollout: plan
{% for group in plan.groups %}
{{ group.id }}:
  salt.state:
    - tgt: {{ group.hosts | json }}
    - tgt_type: list
    - highstate: True
    - queue: 60
    - require:
      - salt: {{ group.after }}
{% endfor %}
finish:
  rollout.finished:
    - apps: {{ plan.apps | json }}
{% endwith %}
