#!/usr/bin/env bash
# A stand-in for the official Python image, for machines that can reach Debian's archive but no registry: trixie with its own Python 3.13, which
# stands where the official image has it. Usage: standin_base.sh TAG NEW_FOLDER [MIRROR]. Needs root, debootstrap and an engine.
set -euo pipefail
tag=$1 root=$2 mirror=${3:-}

mkdir "$root"
mount -t tmpfs tmpfs "$root" # in memory, since dpkg waits for the disk after every file
trap 'umount --recursive "$root"; rmdir "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv trixie "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 \
  || { tail -20 "$root.log"; exit 1; }
rm "$root"/usr/lib/python3.*/EXTERNALLY-MANAGED
for name in python python3; do ln -s /usr/bin/python3 "$root/usr/local/bin/$name"; done
ln -s /usr/bin/pip3 "$root/usr/local/bin/pip"
# This machine may trust an authority of its own, as it has to where a proxy looks into TLS.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

tar --directory "$root" --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude=./dev --create . \
  | docker import --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' - "$tag" >"$root.log"
