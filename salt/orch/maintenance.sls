# Puts a page with status 503 in front of an app, but for visitors from the addresses of `allow`; `"on": false` takes it
# away:
#
#   salt-run state.orchestrate orch.maintenance pillar='{"app": "shop", "on": true, "allow": ["203.0.113.7"]}'
#
# It waits for nobody: a deploy may run meanwhile, and touches nothing of this.
{% with plan = salt['saltutil.runner']('rollout.maintenance', arg=[
    salt['pillar.get']('app'), salt['pillar.get']('on'), salt['pillar.get']('allow', []),
]) %}
plan:
  rollout.planned:
    - problems: {{ plan.problems | json }}
    - summary: {{ plan.summary | json }}

visitors:
  salt.state:
    - tgt: {{ plan.hosts | json }}
    - tgt_type: list
    - sls: {{ plan.sls | json }}
    - pillar: {{ plan.pillar | json }}
    - concurrent: True
    - require:
      - rollout: plan

finish:
  rollout.finished:
    - apps: []
{% endwith %}
