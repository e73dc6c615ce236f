# Every host gets the inventory and the apps. Which secrets it gets follows from them:
#
#   secrets/<app>.sls            the hosts of the app
#   secrets/<app>_database.sls   these, and the host that serves its database
#   secrets/role_<role>.sls      the hosts with the role
#
# A file that is not there is left out. A host gets them by its minion id, the one thing about a minion that the master
# can prove; never by another grain. `list` matches an id as it is. `salt-run pillar.show_top` shows who gets what.
base:
  '*':
    - hosts
    - apps
{% for host, files in salt['pillar_top.secrets']().items() %}
  {{ host | json }}:
    - match: list
    - ignore_missing: True
{% for file in files %}
    - {{ file }}
{% endfor %}
{% endfor %}
