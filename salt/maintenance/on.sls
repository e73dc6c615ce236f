# Keep visitors out of the app that the pillar's `only` names, or out of every app, but for the addresses of `allow`.
# They are let in before the others are kept out.
{% for app in salt['apps.maintenance']() %}
# Where a highstate has put it, the web server looks.
{{ app.app }}-provisioned:
  file.exists:
    - name: {{ app.page }}

{{ app.app }}-let-in:
  file.managed:
    - names: {{ app.let_in | json }}
    - contents: "# Managed by Salt: salt://maintenance/on.sls"
    - mode: "0644"
    - require:
      - file: {{ app.app }}-provisioned

{{ app.app }}-nobody-else:
  file.directory:
    - name: {{ app.allowed }}
    - clean: True
    - require:
      - file: {{ app.app }}-let-in

{{ app.app }}-closed:
  file.managed:
    - name: {{ app.flag }}
    - contents: {{ app.notice | json }}
    - mode: "0644"
    - require:
      - file: {{ app.app }}-nobody-else
{% endfor %}
