# What the web servers need to keep visitors out of each app that they reach here. Whether they do so say on.sls and
# off.sls, which orch.maintenance applies; a highstate leaves that as it is.
{% for app in salt['apps.maintenance']() %}
{{ app.app }}-maintenance:
  file.directory:
    - names:
      - {{ app.folder }}
      - {{ app.allowed }}
    - mode: "0755"
    - makedirs: True

# It does not say whose it is, because visitors read it.
{{ app.app }}-maintenance-page:
  file.managed:
    - name: {{ app.page }}
    - source: salt://maintenance/page.html
    - mode: "0644"
    - require:
      - file: {{ app.app }}-maintenance
{% endfor %}
