# Bring the database of each app to what the staged release needs. An orchestration applies this on one host only.
{% for app in salt['apps.specs']() %}{% for release in app.releases %}
{{ app.name }}-migrated:
  manage.migrated:
    - name: {{ release.path }}
    - python: {{ release.python }}
    - folder: {{ release.path }}
    - settings: {{ app.settings }}
    - user: {{ app.user }}
    - variables: {{ app.variables | json }}
    - current: {{ app.paths.current }}
    - lock_timeout: {{ app.rollout.lock_timeout }}
{% endfor %}{% endfor %}
