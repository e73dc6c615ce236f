# Make the release of each app ready to run. Nothing that serves is touched.
include:
  - app.config

{% for app in salt['apps.specs']() %}{% for release in app.releases %}
{{ app.name }}-release:
  release.staged:
    - name: {{ release.code }}
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

{{ app.name }}-release-files:
  app_files.furnished:
    - name: {{ release.furnished }}
    - app: {{ app.name }}
    - code: {{ release.code }}
    - require:
      - release: {{ app.name }}-release

{{ app.name }}-files:
  app_files.written:
    - name: {{ app.paths.file_set }}
    - app: {{ app.name }}
    - folder: {{ app.paths.etc }}
    - release: {{ release.path }}
    - python: {{ release.python }}
    - require:
      - app_files: {{ app.name }}-release-files

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
      - app_files: {{ app.name }}-files

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
    - watch:
      - app_files: {{ app.name }}-release-files
{% endfor %}{% endfor %}
