#!/bin/sh
# Managed by Salt: salt://tls/renewed.sh
#
# certbot calls this when it has renewed a certificate; after another tool's renewal call it yourself. The web server in
# front reads its certificates anew, and requests in flight finish.
set -eu

for front in nginx apache2; do
    if systemctl is-active --quiet "$front"; then
        systemctl reload "$front"
    fi
done
