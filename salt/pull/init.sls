# The timer by which this host applies its states by itself (docs/pull.md). Without the pillar's key `pull` there is none.
{% for pull in salt['pull.timers']() %}
pull-program:
  file.managed:
    - name: /usr/local/sbin/slipway-pull
    - source: salt://_utils/pulling.py
    - mode: "0755"

# Every salt-call of the host keeps its pillar for a pull without a master, in a folder of root's own. One whose master
# goes away while it connects gives up; by default it would try for ever, and no pull would come after it.
pull-pillar:
  file.managed:
    - name: {{ pull.config }}
    - contents: |
        # Managed by Salt: salt://pull/init.sls
        minion_pillar_cache: True
        master_tries: 1
    - mode: "0644"

pull-units:
  file.managed:
    - names:
      - /etc/systemd/system/slipway-pull.service:
        - source: salt://pull/slipway-pull.service
      - /etc/systemd/system/slipway-pull.timer:
        - source: salt://pull/slipway-pull.timer
    - template: jinja
    - context:
        pull: {{ pull | json }}
    - mode: "0644"
    - require:
      - file: pull-program
      - file: pull-pillar

pull-timer:
  service.running:
    - name: slipway-pull.timer
    - enable: True
    - watch:
      - file: pull-units
{% endfor %}

{% for unit in salt['pull.left']() %}
pull-left:
  service.dead:
    - name: {{ unit.name }}
    - enable: False

pull-left-units:
  file.absent:
    - names:
      - /etc/systemd/system/slipway-pull.service
      - /etc/systemd/system/slipway-pull.timer
      - /usr/local/sbin/slipway-pull
      - {{ unit.config }}
    - require:
      - service: pull-left
{% endfor %}
