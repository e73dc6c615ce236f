# Brings the newest value of each secret of an app into use, where the pillar has several:
#
#   salt-run state.orchestrate orch.rotate pillar='{"app": "shop"}'
#
# First every host accepts the new ones, then every host uses them, then the old passwords are taken away. Each step
# requires the one before; `finish` runs in any case, and brings the hosts back if a step failed.
{% with plan = salt['saltutil.runner']('rotation.steps', arg=[salt['pillar.get']('app')]) %}
plan:
  rollout.planned:
    - problems: {{ plan.problems | json }}
    - summary: {{ plan.summary | json }}
    - apps: {{ plan.apps | json }}
{% for app in plan.work %}
lock:
  rollout.locked:
    - app: {{ app }}
    - reason: rotate secrets
    - seconds: {{ plan.lock_seconds | json }}
    - require:
      - rollout: plan

preflight:
  preflight.ready:
    - app: {{ app }}
    - hosts: {{ plan.hosts | json }}
    - others: {{ plan.others | json }}
    - release: {{ plan.release | json }}
    - require:
      - rollout: lock

try-key:
  rotation.tried:
    - app: {{ app }}
    - hosts: {{ plan.trying | json }}
    - require:
      - preflight: preflight

database:
  rollout.applied:
    - app: {{ app }}
    - hosts: {{ plan.databases | json }}
    - sls: database
    - pillar: {{ plan.pillar | json }}
    - require:
      - rotation: try-key

cache:
  rollout.applied:
    - app: {{ app }}
    - hosts: {{ plan.caches | json }}
    - sls: cache
    - pillar: {{ plan.pillar | json }}
    - require:
      - rollout: database
{% for wave in plan.accept %}{% for pause in wave.pauses %}
{{ pause.id }}:
  rollout.waited:
    - app: {{ app }}
    - seconds: {{ pause.seconds | json }}
    - require:
      - id: {{ pause.after }}
{% endfor %}
{{ wave.id }}:
  rollout.applied:
    - app: {{ app }}
    - hosts: {{ wave.hosts | json }}
    - sls: {{ plan.sls | json }}
    - pillar: {{ plan.pillar | json }}
    - require:
      - id: {{ wave.after }}
{% endfor %}
accepted:
  rotation.accepted:
    - app: {{ app }}
    - hosts: {{ plan.hosts | json }}
    - overlap: {{ plan.overlap | json }}
    - require:
      - id: {{ plan.accepted }}
{% for wave in plan.use %}{% for pause in wave.pauses %}
{{ pause.id }}:
  rollout.waited:
    - app: {{ app }}
    - seconds: {{ pause.seconds | json }}
    - require:
      - id: {{ pause.after }}
{% endfor %}
{{ wave.id }}:
  rollout.applied:
    - app: {{ app }}
    - hosts: {{ wave.hosts | json }}
    - sls: {{ plan.sls | json }}
    - pillar: {{ plan.newest | json }}
    - require:
      - id: {{ wave.after }}
{% endfor %}
record:
  rotation.recorded:
    - app: {{ app }}
    - hosts: {{ plan.hosts | json }}
    - rotates: {{ plan.rotates | json }}
    - require:
      - id: {{ plan.used }}

retire:
  rollout.applied:
    - app: {{ app }}
    - hosts: {{ plan.hosts | json }}
    - sls: app.alone
    - pillar: {{ plan.newest | json }}
    - require:
      - rotation: record

close:
  rollout.applied:
    - app: {{ app }}
    - hosts: {{ plan.databases | json }}
    - sls: database
    - pillar: {{ plan.newest | json }}
    - require:
      - rollout: retire

close-cache:
  rollout.applied:
    - app: {{ app }}
    - hosts: {{ plan.caches | json }}
    - sls: cache
    - pillar: {{ plan.newest | json }}
    - require:
      - rollout: close

ended:
  rotation.ended:
    - app: {{ app }}
    - require:
      - rollout: close-cache
{% endfor %}
finish:
  rollout.finished:
    - apps: {{ plan.work | json }}
    - hosts: {{ plan.hosts | json }}
{% endwith %}
