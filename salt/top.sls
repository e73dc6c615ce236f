base:
  '*':
    - host.roles
