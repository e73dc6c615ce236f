# What a host needs to build and run releases.

# One list, because each installation of its own costs as much as all of them.
host-packages:
  pkg.installed:
    - pkgs:
      - ca-certificates
      - curl
      - git
      - openssh-client
      - python3
      - python3-venv

host-uv:
  uv.installed:
    - name: /opt/uv/bin/uv
    - version: 0.13.9
    - require:
      - pkg: host-packages
