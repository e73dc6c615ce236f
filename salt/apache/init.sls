# Apache in front of the apps that run in mod_wsgi: Debian's configuration and one file of ours. Sites are links in
# /etc/apache2/sites-enabled, with ids apache-<app>.
include:
  - tls

# Also what builds mod_wsgi in an app's venv, where it takes the Python of the app and not Debian's.
apache-packages:
  pkg.installed:
    - pkgs: [apache2, apache2-dev, gcc, python3-dev]

# Takes a file's place in a copy of the configuration and tests it, so that a bad one never replaces a good one.
slipway-apache-check:
  file.managed:
    - name: /usr/local/sbin/slipway-apache-check
    - source: salt://apache/check.sh
    - mode: "0755"

# Each with its own configuration where Debian has one.
apache-modules:
  file.symlink:
    - names:
{% for file in [
    'proxy.load', 'proxy.conf', 'proxy_http.load', 'proxy_balancer.load', 'proxy_balancer.conf',
    'lbmethod_byrequests.load', 'slotmem_shm.load', 'rewrite.load', 'headers.load', 'remoteip.load', 'expires.load',
    'macro.load',
] %}
      - /etc/apache2/mods-enabled/{{ file }}: [{target: ../mods-available/{{ file }}}]
{% endfor %}
    - require:
      - pkg: apache-packages

# With them Debian's ports.conf has Apache listen on 443.
{% for _ in salt['apps.tls']() %}
apache-tls-modules:
  file.symlink:
    - names:
{% for file in ['ssl.load', 'ssl.conf', 'socache_shmcb.load'] %}
      - /etc/apache2/mods-enabled/{{ file }}: [{target: ../mods-available/{{ file }}}]
{% endfor %}
    - require:
      - pkg: apache-packages
{% endfor %}

apache-config:
  file.managed:
    - name: /etc/apache2/conf-available/slipway.conf
    - source: salt://apache/slipway.conf
    - template: jinja
    - context:
        proxies: {{ salt['apps.proxies']() | json }}
        certificates: {{ salt['apps.tls']() | json }}
    - mode: "0644"
    - check_cmd: /usr/local/sbin/slipway-apache-check /etc/apache2/conf-available/slipway.conf
    - require:
      - file: slipway-apache-check
      - file: apache-*modules

apache-config-enabled:
  file.symlink:
    - name: /etc/apache2/conf-enabled/slipway.conf
    - target: ../conf-available/slipway.conf
    - require:
      - file: apache-config

# Debian's own would answer requests for hosts that no site has.
apache-default-site:
  file.absent:
    - name: /etc/apache2/sites-enabled/000-default.conf
    - require:
      - pkg: apache-packages

# Only ever reloaded, which is Apache's graceful restart: no request is lost. The pattern takes in the sites.
apache-running:
  front.running:
    - name: apache
    - watch:
      - file: apache-*
