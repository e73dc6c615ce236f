# The user, the folders and the config files of each app.
{% for app in salt['apps.specs']() %}
{{ app.name }}-group:
  group.present:
    - name: {{ app.group }}
    - system: True

{{ app.name }}-user:
  user.present:
    - name: {{ app.user }}
    - gid: {{ app.group }}
    - system: True
    - home: {{ app.paths.home }}
    - createhome: False
    - shell: /usr/sbin/nologin
    - require:
      - group: {{ app.name }}-group

# Root's, and open: what the app runs it must not be able to change, and Nginx reads the static files.
{{ app.name }}-folders:
  file.directory:
    - names:
      - {{ app.paths.home }}
      - {{ app.paths.releases }}
      - {{ app.paths.furnished }}
      - {{ app.paths.slots }}
      - {{ app.paths.static }}
    - user: root
    - group: root
    - mode: "0755"

# The app writes, Nginx reads: what is made here belongs to Nginx's group, and others are kept out.
{{ app.name }}-shared-folders:
  file.directory:
    - names:
      - {{ app.paths.run }}
      - {{ app.paths.media }}
    - user: {{ app.user }}
    - group: www-data
    - mode: "2750"
    - require:
      - user: {{ app.name }}-user
      - file: {{ app.name }}-folders

{{ app.name }}-logs:
  file.directory:
    - name: {{ app.paths.logs }}
    - user: root
    - group: adm
    - mode: "0750"

{{ app.name }}-etc:
  file.directory:
    - names:
      - {{ app.paths.etc }}
      - {{ app.paths.files }}
    - user: root
    - group: {{ app.group }}
    - mode: "0750"
    - require:
      - group: {{ app.name }}-group

# Where the traffic leads as long as no release has it.
{{ app.name }}-nobody:
  file.managed:
    - name: {{ app.paths.nobody }}
    - contents: "# Managed by Salt: salt://app/config.sls"
    - mode: "0644"
    - require:
      - file: {{ app.name }}-folders

{% for file in app.web.files %}
{{ app.name }}-server-{{ file.name }}:
  file.managed:
    - name: {{ file.path }}
    - source: {{ file.source }}
    - template: jinja
    - context:
        app: {{ app | json }}
        web: {{ app.web | json }}
    - user: root
    - group: {{ app.group }}
    - mode: "0640"
    - require:
      - file: {{ app.name }}-etc
{% endfor %}

# In root's folder: where the app may write it could lead root elsewhere.
{% for file in app.web.maps %}
{{ app.name }}-map-{{ file.name }}:
  file.managed:
    - name: {{ file.path }}
    - source: {{ file.source }}
    - template: jinja
    - mode: "0644"
    - require:
      - file: {{ app.name }}-folders
{% endfor %}

{{ app.name }}-links:
  slot.linked:
    - name: {{ app.name }}
    - links: [{{ app.paths.live }}, {{ app.paths.standby }}]
    - target: {{ app.paths.nobody }}
    - require:
      - file: {{ app.name }}-nobody
      - file: {{ app.name }}-shared-folders

{% for file in app.secrets_files %}
{{ app.name }}-{{ file.name }}:
  secrets.written:
    - name: {{ file.path }}
    - app: {{ app.name }}
    - group: {{ app.group }}
    - require:
      - file: {{ app.name }}-etc
{% endfor %}

{{ app.name }}-old-secrets:
  secrets.pruned:
    - name: {{ app.secrets_files[0].path }}
    - app: {{ app.name }}
    - require:
{% for file in app.secrets_files %}
      - secrets: {{ app.name }}-{{ file.name }}
{% endfor %}

{{ app.name }}-deploy-key:
  secrets.deploy_key:
    - name: {{ app.paths.etc }}/deploy_key
    - app: {{ app.name }}
    - require:
      - file: {{ app.name }}-etc

# Once, and only where keys are given: without them ssh writes down in this file whom it met first.
{% for first in app.source.host_keys[:1] %}
{{ app.name }}-known-hosts:
  file.managed:
    - name: {{ app.source.known_hosts }}
    - contents: {{ (['# Managed by Salt: salt://app/config.sls'] + app.source.host_keys) | json }}
    - mode: "0644"
    - require:
      - file: {{ app.name }}-etc
{% endfor %}
{% endfor %}
