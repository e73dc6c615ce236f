# PostgreSQL of the distribution: who may connect, and to what.

postgresql-package:
  pkg.installed:
    - name: postgresql

{% for server in salt["databases.servers"]() %}
# The server listens on the inventory's address alone, and does not start while the host has not got it yet.
postgresql-after-network:
  file.managed:
    - name: /etc/systemd/system/postgresql@.service.d/slipway.conf
    - source: salt://database/files/after-network.conf
    - makedirs: True
    - mode: "0644"
    - require:
      - pkg: postgresql-package

postgresql-settings:
  file.managed:
    - name: {{ server.folder }}/conf.d/slipway.conf
    - source: salt://database/files/slipway.conf
    - template: jinja
    - context:
        server: {{ server | json }}
    - user: postgres
    - group: postgres
    - mode: "0640"
    - require:
      - pkg: postgresql-package

postgresql-access:
  file.managed:
    - name: {{ server.folder }}/pg_hba.conf
    - source: salt://database/files/pg_hba.conf
    - template: jinja
    - context:
        server: {{ server | json }}
    - user: postgres
    - group: postgres
    - mode: "0640"
    - require:
      - pkg: postgresql-package

postgresql-service:
  service.running:
    - name: {{ server.service }}
    - require:
      - file: postgresql-after-network
    - watch:
      - file: postgresql-settings

# Who may connect takes a reload only: connections stay.
postgresql-access-loaded:
  service.running:
    - name: {{ server.service }}
    - reload: True
    - require:
      - service: postgresql-service
    - watch:
      - file: postgresql-access
{% endfor %}
