# The edge: Nginx spreads the requests of each app over the app's hosts.
include:
  - nginx
  - maintenance

{% for site in salt['apps.sites']() %}
nginx-{{ site.app }}:
  file.managed:
    - name: /etc/nginx/sites/{{ site.app }}.conf
    - source: salt://balancer/site.conf
    - template: jinja
    - context:
        site: {{ site | json }}
    - mode: "0644"
    - check_cmd: /usr/local/sbin/slipway-nginx-check /etc/nginx/sites/{{ site.app }}.conf
    - require:
      - file: nginx-config
{% endfor %}
