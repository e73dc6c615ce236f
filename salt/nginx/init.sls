# Nginx with a configuration that is ours as a whole. Sites are files in /etc/nginx/sites, with ids nginx-<app>.
include:
  - tls

nginx-package:
  pkg.installed:
    - name: nginx

# Takes a file's place in a copy of the configuration and tests it, so that a bad one never replaces a good one.
slipway-nginx-check:
  file.managed:
    - name: /usr/local/sbin/slipway-nginx-check
    - source: salt://nginx/check.sh
    - mode: "0755"

nginx-sites:
  file.directory:
    - name: /etc/nginx/sites
    - mode: "0755"
    - require:
      - pkg: nginx-package

nginx-config:
  file.managed:
    - name: /etc/nginx/nginx.conf
    - source: salt://nginx/nginx.conf
    - template: jinja
    - context:
        proxies: {{ salt['apps.proxies']() | json }}
        certificates: {{ salt['apps.tls']() | json }}
    - mode: "0644"
    - check_cmd: /usr/local/sbin/slipway-nginx-check /etc/nginx/nginx.conf
    - require:
      - file: slipway-nginx-check
      - file: nginx-sites

# Only ever reloaded: connections stay. The pattern takes in the sites of app and balancer, one reload for them all.
nginx-running:
  front.running:
    - name: nginx
    - watch:
      - file: nginx-*
