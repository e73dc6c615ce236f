# The front of each app: an Nginx site that connects through the link which the slots flip.
include:
  - nginx
  - maintenance

{% for app in salt['apps.specs']() %}
nginx-{{ app.name }}:
  file.managed:
    - name: /etc/nginx/sites/{{ app.name }}.conf
    - source: salt://app/site_nginx.conf
    - template: jinja
    - context:
        app: {{ app | json }}
    - mode: "0644"
    - check_cmd: /usr/local/sbin/slipway-nginx-check /etc/nginx/sites/{{ app.name }}.conf
    - require:
      - file: nginx-config
{% endfor %}
