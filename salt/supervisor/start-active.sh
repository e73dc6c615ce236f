#!/bin/sh
# Managed by Salt: salt://supervisor/start-active.sh
#
# slipway-start-active [FOLDER [PROGRAMS]]: starts of each app in FOLDER (/srv) the slot that has the traffic, if it has a
# file in PROGRAMS (/etc/supervisor/conf.d).
# Slots do not start by themselves, or after a boot the old release would start beside the new one.
set -u

# Supervisor reads its files and opens its socket first; 30 seconds are plenty for hundreds of programs.
for _ in $(seq 150); do
    supervisorctl pid >/dev/null 2>&1 && break
    sleep 0.2
done

for live in "${1:-/srv}"/*/run/web; do
    [ -L "$live" ] || continue
    home=${live%/run/web}
    door=$(readlink "$live")
    program=${home##*/}-${door%.*}
    [ -e "${2:-/etc/supervisor/conf.d}/$program.conf" ] || continue
    # In the background: Supervisor reports each only after its startsecs.
    supervisorctl start "$program" &
done
wait
