# PostgreSQL, with the database of every app that has it on this host.
include:
  - database.server

{% for database in salt["apps.databases"]() %}
{{ database.app }}-database:
  database.present:
    - name: {{ database.name }}
    - user: {{ database.user }}
    - app: {{ database.app }}
    - require:
      - service: postgresql-access-loaded
{% endfor %}
