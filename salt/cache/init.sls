# Redis, with the user of every app that has its cache on this host.
include:
  - cache.server

{% for cache in salt["apps.caches"]() %}
{{ cache.app }}-cache:
  cache.present:
    - name: {{ cache.user }}
    - app: {{ cache.app }}
    - require:
      - service: redis-service
{% endfor %}
