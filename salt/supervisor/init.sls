# Supervisor from the distribution, and what brings the apps back after a boot.

supervisor-start-active:
  file.managed:
    - name: /usr/local/sbin/slipway-start-active
    - source: salt://supervisor/start-active.sh
    - mode: "0755"

# Before the package, which starts the service: so systemd reads it in time.
supervisor-after-start:
  file.managed:
    - name: /etc/systemd/system/supervisor.service.d/slipway.conf
    - source: salt://supervisor/after-start.conf
    - makedirs: True
    - mode: "0644"

supervisor-package:
  pkg.installed:
    - name: supervisor
    - require:
      - file: supervisor-start-active
      - file: supervisor-after-start

# Where the package was there before: a reload or restart of the service would stop every app.
supervisor-unit:
  module.wait:
    - name: service.systemctl_reload
    - require:
      - pkg: supervisor-package
    - watch:
      - file: supervisor-after-start

supervisor-service:
  service.running:
    - name: supervisor
    - enable: True
    - require:
      - module: supervisor-unit
    # Restarted only when it was just installed and so runs no app yet.
    - watch:
      - pkg: supervisor-package
