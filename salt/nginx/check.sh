#!/bin/sh
# Managed by Salt: salt://nginx/check.sh
#
# slipway-nginx-check TARGET CANDIDATE: succeeds if Nginx would accept CANDIDATE in the place of TARGET, a file below
# /etc/nginx, together with everything else that is there. Nothing is changed.
set -eu

etc=${SLIPWAY_NGINX:-/etc/nginx}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# nginx.conf includes by relative paths, which Nginx takes from the folder of the file it is given.
cp -a "$etc/." "$copy"
cp "$2" "$copy/${1#"$etc"/}"
nginx -t -q -c "$copy/nginx.conf"
