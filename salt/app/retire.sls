# Stop what no longer has the traffic, and remove old releases.
{% for app in salt['apps.specs']() %}{% for release in app.releases %}
{{ app.name }}-retired:
  slot.retired:
    - name: {{ app.name }}
    - slots: {{ app.slots | json }}
    - keep_warm: {{ app.keep_warm }}

{{ app.name }}-old-releases:
  release.pruned:
    - name: {{ app.paths.releases }}
    - keep: {{ app.keep }}
    - slots: {{ app.paths.slots }}
    - release: {{ release.code }}
    - furnished: {{ app.paths.furnished }}
    - venvs: {{ app.paths.venvs }}
    - require:
      - slot: {{ app.name }}-retired
{% endfor %}{% endfor %}
