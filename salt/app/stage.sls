# Make the release of each app ready to run. Nothing that serves is touched.
include:
  - app.config

{% for app in salt['apps.specs']() %}{% for release in app.releases %}
{{ app.name }}-release:
  release.staged:
    - name: {{ release.path }}
    - source: {{ app.source | json }}
    - commit: {{ release.commit | json }}
    - mirror: {{ app.paths.mirror }}
    - downloads: {{ app.paths.downloads }}
    - venvs: {{ app.paths.venvs }}
    - requirements: {{ app.requirements | json }}
    - python: {{ app.python | json }}
    - environment: {{ app.environment }}
    - packages: {{ app.web.packages | json }}
    - require:
      - file: {{ app.name }}-folders
{% for file in app.secrets_files %}
      - secrets: {{ app.name }}-{{ file.name }}
{% endfor %}
      - secrets: {{ app.name }}-deploy-key

{{ app.name }}-checked:
  manage.checked:
    - name: {{ release.path }}
    - python: {{ release.python }}
    - folder: {{ release.path }}
    - settings: {{ app.settings }}
    - user: {{ app.user }}
    - variables: {{ app.variables | json }}
    - current: {{ app.paths.current }}
    - require:
      - release: {{ app.name }}-release

{{ app.name }}-static:
  manage.static_collected:
    - name: {{ release.path }}
    - python: {{ release.python }}
    - folder: {{ release.path }}
    - settings: {{ app.settings }}
    - user: {{ app.user }}
    - variables: {{ app.variables | json }}
    - current: {{ app.paths.current }}
    - shared: {{ app.paths.static }}
    - require:
      - manage: {{ app.name }}-checked
{% endfor %}{% endfor %}
