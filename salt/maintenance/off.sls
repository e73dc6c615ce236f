# Let all visitors in again: the opposite of on.sls.
{% for app in salt['apps.maintenance']() %}
{{ app.app }}-provisioned:
  file.exists:
    - name: {{ app.page }}

{{ app.app }}-open:
  file.absent:
    - name: {{ app.flag }}
    - require:
      - file: {{ app.app }}-provisioned

# Those who were let in are forgotten.
{{ app.app }}-nobody-let-in:
  file.directory:
    - name: {{ app.allowed }}
    - clean: True
    - require:
      - file: {{ app.app }}-open
{% endfor %}
