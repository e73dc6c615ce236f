# What every host gets: one folder of states for each role that the inventory gives it, and its pull if the pillar says so.
#
# Not in top.sls: Salt hides what goes wrong there behind "No Top file or master_tops data matches found". Here a mistake
# of the pillar is what the run says.
include:
{% for role in salt['apps.roles']() %}
  - {{ role }}
{% endfor %}
  - pull
