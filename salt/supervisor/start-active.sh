#!/bin/sh
# Managed by Salt: salt://supervisor/start-active.sh
#
# slipway-start-active [FOLDER]: starts of each app in FOLDER (/srv) the program of the slot that has the traffic.
# Slots do not start by themselves, or after a boot the old release would start beside the new one.
set -u

# Supervisor reads its files and opens its socket first; 30 seconds are plenty for hundreds of programs.
for _ in $(seq 150); do
    supervisorctl pid >/dev/null 2>&1 && break
    sleep 0.2
done

for front in "${1:-/srv}"/*/run/web.sock; do
    [ -L "$front" ] || continue
    home=${front%/run/web.sock}
    slot=$(basename "$(readlink "$front")" .sock)
    # In the background: Supervisor reports each only after its startsecs.
    supervisorctl start "${home##*/}-$slot" &
done
wait
