# Give the staged release of each app the traffic of this host.
include:
  - app.config

{% for app in salt['apps.specs']() %}{% for release in app.releases %}
{{ app.name }}-active:
  slot.active:
    - name: {{ app.name }}
    - release: {{ release.id | json }}
    - path: {{ release.path }}
    - slots: {{ app.slots | json }}
    - current: {{ app.paths.current }}
    - config_files: {{ app.config_files | json }}
    - health: {{ app.health | json }}
    - window: {{ app.rollout.watch | json }}
    - warm_requests: {{ app.web.warm_requests }}
    - keep_warm: {{ app.keep_warm }}
    - confirm: {{ app.rollout.confirm }}
    - again: {{ app.rollout.again }}
    - require:
      - slot: {{ app.name }}-links
      - file: {{ app.name }}-logs
    - watch:
      - file: {{ app.name }}-server-*
{% for file in app.secrets_files %}
      - secrets: {{ app.name }}-{{ file.name }}
{% endfor %}

{{ app.name }}-static-shared:
  manage.static_shared:
    - name: {{ release.path }}
    - folder: {{ release.path }}
    - shared: {{ app.paths.static }}
    - require:
      - slot: {{ app.name }}-active
{% endfor %}{% endfor %}
