# The front of each app: an Apache site that looks up, in the files to which two links lead, which slot has the traffic.
include:
  - apache
  - maintenance
  - app.config

{% for app in salt['apps.specs']() %}
{{ app.name }}-door:
  secrets.token:
    - name: {{ app.paths.etc }}/door.conf
    - app: {{ app.name }}
    - group: {{ app.group }}
    - require:
      - file: {{ app.name }}-etc

apache-{{ app.name }}:
  file.managed:
    - name: /etc/apache2/sites-available/{{ app.name }}.conf
    - source: salt://app/site_apache.conf
    - template: jinja
    - context:
        app: {{ app | json }}
    - mode: "0644"
    - check_cmd: /usr/local/sbin/slipway-apache-check /etc/apache2/sites-available/{{ app.name }}.conf
    - require:
      - file: apache-config
      - secrets: {{ app.name }}-door
      - slot: {{ app.name }}-links
      - file: {{ app.name }}-map-*

apache-{{ app.name }}-enabled:
  file.symlink:
    - name: /etc/apache2/sites-enabled/{{ app.name }}.conf
    - target: ../sites-available/{{ app.name }}.conf
    - require:
      - file: apache-{{ app.name }}
{% endfor %}
