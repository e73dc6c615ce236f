#!/bin/sh
# Managed by Salt: salt://apache/check.sh
#
# slipway-apache-check TARGET CANDIDATE: succeeds if Apache would accept CANDIDATE in the place of TARGET, a file below
# /etc/apache2, together with everything else that is there and as if TARGET were enabled. Nothing is changed.
set -eu

etc=${SLIPWAY_APACHE:-/etc/apache2}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# apache2.conf includes by relative paths, which Apache takes from its ServerRoot: the copy.
cp -a "$etc/." "$copy"
target=$copy/${1#"$etc"/}
cp "$2" "$target"
# A new file is not linked yet: sites-available/shop.conf counts as sites-enabled/shop.conf.
case ${target#"$copy"/} in
*-available/*) ln -sf "$target" "$copy/$(echo "${target#"$copy"/}" | sed 's/-available/-enabled/')" ;;
esac
APACHE_CONFDIR=$copy apache2ctl configtest
