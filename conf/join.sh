#!/bin/sh
# Makes this host, $id, a minion of the master at $master. Made by $join there; it holds no secret.
set -eu
etc="$${SLIPWAY_ETC:-/etc}"

stop() {
    echo "$id: $$1" >&2
    exit 1
}

# The standard input becomes the file $$2 with the mode $$1, in one step.
put() {
    mkdir -p "$${2%/*}"
    cat >"$$2.new"
    chmod "$$1" "$$2.new"
    mv "$$2.new" "$$2"
}

# As key.finger of Salt shows it: the digest of what is between the first line and the last.
fingerprint() {
    sed '/^-----/d; /^[[:space:]]*$$/d' "$$1" | sha256sum | cut -c 1-64 | sed 's/../&:/g; s/:$$//'
}

pki="$$etc/salt/pki/minion"
[ "$$(id -u)" = 0 ] || stop "run this as root"
command -v salt-minion >/dev/null || stop "salt-minion is not installed: docs/hosts.md, 2"
if [ -e "$$pki/minion_master.pub" ] && [ "$$(fingerprint "$$pki/minion_master.pub")" != "$finger" ]; then
    stop "it trusts another master: if that shall change, stop salt-minion and remove $$pki/minion_master.pub"
fi

put 640 "$$etc/salt/minion" <<'END'
$minion
END
put 644 "$$etc/salt/minion_id" <<'END'
$id
END
# The fingerprint as well, because Salt's advice, when the key below does not fit, is to remove that.
put 644 "$$etc/salt/minion.d/slipway-master.conf" <<'END'
# Made by $join on the master.
master: '$master'
master_finger: '$finger'
END
put 644 "$$pki/minion_master.pub" <<'END'
$public
END
put 644 "$$etc/systemd/system/salt-minion.service.d/slipway.conf" <<'END'
$unit
END
chmod 700 "$$pki"
systemctl daemon-reload
systemctl enable --quiet salt-minion
systemctl restart salt-minion

tries=0
until [ -s "$$pki/minion.pub" ]; do
    tries=$$((tries + 1))
    [ $$tries -lt 30 ] || stop "its minion has made no key: journalctl -u salt-minion"
    sleep 1
done
echo "On the master:"
echo "    $join $id $$(fingerprint "$$pki/minion.pub")"
