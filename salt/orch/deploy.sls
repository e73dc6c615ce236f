# Brings a revision of an app to its hosts:
#
#   salt-run state.orchestrate orch.deploy pillar='{"app": "shop", "revision": "v1"}'
#
# Each step requires the one before. `finish` runs in any case, and undoes the rest if a step failed.
{% with plan = salt['saltutil.runner']('rollout.plan', arg=[salt['pillar.get']('app'), salt['pillar.get']('revision')]) %}

plan:
  rollout.planned:
    - problems: {{ plan.problems | json }}
    - summary: {{ plan.summary | json }}

lock:
  rollout.locked:
    - app: {{ plan.app | json }}
    - reason: {{ plan.summary | json }}
    - seconds: {{ plan.lock_seconds | json }}
    - require:
      - rollout: plan

preflight:
  rollout.ready:
    - app: {{ plan.app | json }}
    - hosts: {{ plan.hosts | json }}
    - others: {{ plan.others | json }}
    - release: {{ plan.release | json }}
    - require:
      - rollout: lock

stage:
  salt.state:
    - tgt: {{ plan.hosts | json }}
    - tgt_type: list
    - sls: app.stage
    - pillar: {{ plan.pillar | json }}
    - queue: 60
    - require:
      - rollout: preflight

backup:
  rollout.backed_up:
    - host: {{ plan.first | json }}
    - questions: {{ plan.questions | json }}
    - databases: {{ plan.databases | json }}
    - label: before-{{ plan.release.id }}
    - require:
      - salt: stage

migrate:
  salt.state:
    - tgt: [{{ plan.first | json }}]
    - tgt_type: list
    - sls: app.migrate
    - pillar: {{ plan.pillar | json }}
    - queue: 60
    - require:
      - rollout: backup
{% for wave in plan.waves %}
{{ wave.id }}:
  salt.state:
    - tgt: {{ wave.hosts | json }}
    - tgt_type: list
    - sls: app.activate
    - pillar: {{ plan.pillar | json }}
    - queue: 60
    - require:
      - salt: {{ wave.after }}
{% endfor %}
record:
  rollout.recorded:
    - app: {{ plan.app | json }}
    - release: {{ plan.release | json }}
    - require:
      - salt: {{ plan.activated }}

retire:
  salt.state:
    - tgt: {{ plan.hosts | json }}
    - tgt_type: list
    - sls: app.retire
    - pillar: {{ plan.pillar | json }}
    - queue: 60
    - require:
      - rollout: record

finish:
  rollout.finished:
    - apps: {{ plan.apps | json }}
{% endwith %}
