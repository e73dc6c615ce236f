# Redis of the distribution, as a cache: in memory only, encrypted, and for users that have a name.

redis-packages:
  pkg.installed:
    - pkgs:
      - redis-server
      - ssl-cert

{% for server in salt["caches.servers"]() %}
# With a configuration of our own: the package's stays as it is, for its next version.
redis-unit:
  file.managed:
    - name: /etc/systemd/system/redis-server.service.d/slipway.conf
    - source: salt://cache/files/unit.conf
    - makedirs: True
    - mode: "0644"
    - require:
      - pkg: redis-packages

redis-unit-read:
  module.wait:
    - name: service.systemctl_reload
    - watch:
      - file: redis-unit

redis-settings:
  file.managed:
    - name: /etc/redis/slipway.conf
    - source: salt://cache/files/slipway.conf
    - template: jinja
    - context:
        server: {{ server | json }}
    - user: root
    - group: redis
    - mode: "0640"
    - require:
      - pkg: redis-packages

redis-administrator:
  cache.administered:
    - require:
      - pkg: redis-packages

# A restart empties it: only for what it reads when it starts.
redis-service:
  service.running:
    - name: redis-server
    - require:
      - module: redis-unit-read
    - watch:
      - file: redis-unit
      - file: redis-settings
      - cache: redis-administrator
{% endfor %}
