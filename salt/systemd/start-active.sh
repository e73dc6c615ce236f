#!/bin/sh
# Managed by Salt: salt://systemd/start-active.sh
#
# slipway-start-active-units [FOLDER [UNITS]]: starts of each app in FOLDER (/srv) the slot that has the traffic, if it has
# a file in UNITS (/etc/systemd/system).
# Slots are not enabled, or after a boot the old release would start beside the new one.
set -u

for live in "${1:-/srv}"/*/run/web; do
    [ -L "$live" ] || continue
    home=${live%/run/web}
    door=$(readlink "$live")
    unit=${home##*/}-${door%.*}.service
    [ -e "${2:-/etc/systemd/system}/$unit" ] || continue
    systemctl start --no-block "$unit"
done
