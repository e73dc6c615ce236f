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
    - front: {{ app.front }}
    - current: {{ app.paths.current }}
    - config_files: [{{ app.gunicorn.config }}, {{ app.secrets_file }}]
    - health: {{ app.health | json }}
    - window: {{ app.rollout.watch }}
    - warm_requests: {{ app.gunicorn.workers * app.gunicorn.threads }}
    - require:
      - file: {{ app.name }}-shared-folders
      - file: {{ app.name }}-logs
    - watch:
      - file: {{ app.name }}-gunicorn
      - secrets: {{ app.name }}-secrets

{{ app.name }}-static-shared:
  manage.static_shared:
    - name: {{ release.path }}
    - folder: {{ release.path }}
    - shared: {{ app.paths.static }}
    - require:
      - slot: {{ app.name }}-active
{% endfor %}{% endfor %}
