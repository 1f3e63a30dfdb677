#!/usr/bin/env bash
# Installs one named Debian package when run as root; otherwise says why it can't and what to do.
set -euo pipefail

package=$1
if ! command -v apt-get >/dev/null; then
    printf '%s is missing, and this is not a Debian system: install what corresponds to it, then run make again.\n' "$package" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    printf '%s is missing, and only root can install it: run "sudo apt-get install %s", then make again.\n' "$package" "$package" >&2
    exit 1
fi
printf 'installing the Debian package %s\n' "$package"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y --no-install-recommends "$package" </dev/null; }
install || { apt-get update </dev/null && install; }
