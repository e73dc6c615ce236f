# What brings the apps back after a boot that run as units of systemd.

systemd-start-active:
  file.managed:
    - name: /usr/local/sbin/slipway-start-active-units
    - source: salt://systemd/start-active.sh
    - mode: "0755"

systemd-start-active-unit:
  file.managed:
    - name: /etc/systemd/system/slipway-start-active.service
    - source: salt://systemd/start-active.service
    - mode: "0644"
    - require:
      - file: systemd-start-active

# Never started here: it acts at boot.
systemd-start-active-enabled:
  service.enabled:
    - name: slipway-start-active
    - require:
      - file: systemd-start-active-unit

systemd-logrotate:
  pkg.installed:
    - name: logrotate

systemd-logs:
  file.managed:
    - name: /etc/logrotate.d/slipway
    - source: salt://systemd/logrotate.conf
    - template: jinja
    - context:
        apps: {{ salt['apps.specs']() | json }}
    - mode: "0644"
    - check_cmd: logrotate --debug --state /dev/null
    - require:
      - pkg: systemd-logrotate
