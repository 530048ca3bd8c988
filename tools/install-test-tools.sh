#!/usr/bin/env bash
# Installs what `make test` can use of the machine: tshark, tcpdump, zstd, Suricata, OpenSSL, tcpreplay, nmap, Chromium,
# Redis, logrotate, iproute2, and the venv module where Python lacks it. It asks nobody: without apt, root or a passwordless
# sudo it says so and ends well, and tests skip.
set -euo pipefail
tools=$(dirname "$0")

wanted=()
for tool in tshark tcpdump zstd suricata openssl tcpreplay nmap chromium redis-server logrotate; do
    command -v "$tool" >/dev/null || wanted+=("$tool")
done
command -v ip >/dev/null || wanted+=(iproute2)
python3 -c 'import ensurepip' 2>/dev/null || wanted+=(python3-venv)
[ ${#wanted[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "test tools not installed (no apt-get here): ${wanted[*]}"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "test tools not installed (needs root or a passwordless sudo): ${wanted[*]}"
        exit 0
    fi
    exec sudo -n bash "$0"
fi

echo "installing test tools: ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive
scratch=$(mktemp -d)
chmod 755 "$scratch" # apt reads it as its own user
policy=/usr/sbin/policy-rc.d
trap 'rm -rf "$scratch"; [ -z "${policy_is_ours:-}" ] || rm -f "$policy"' EXIT
if [ ! -e "$policy" ]; then # keeps Debian from starting Suricata or Redis as a service on this machine
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

apt_install() { apt-get install -y -q --no-install-recommends "$@" >"$scratch/log" 2>&1; }

# Debian 12 has Suricata in its backports only: the machine's own source entry with the suite's name changed, and package
# lists of its own, so that the machine's configuration stays as it was.
suricata_from_backports() {
    . /etc/os-release
    [ "${ID:-}" = debian ] || return 1
    local suite=$VERSION_CODENAME sources=$scratch/sources
    mkdir -p "$sources" "$scratch/lists/partial"
    "$tools/backports-entries.sh" /etc/apt "$suite" "$sources"
    cp /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list "$sources" 2>/dev/null
    cp /etc/apt/sources.list "$sources/main.list" 2>/dev/null
    local options=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$sources"
        -o "Dir::State::Lists=$scratch/lists")
    apt-get "${options[@]}" update -q >"$scratch/log" 2>&1
    apt_install "${options[@]}" -t "$suite-backports" suricata
}

apt-get update -q >"$scratch/log" 2>&1 || tail -n 5 "$scratch/log"
for package in "${wanted[@]}"; do
    apt_install "$package" && continue
    [ "$package" = suricata ] && suricata_from_backports && continue
    echo "could not install $package:"
    tail -n 5 "$scratch/log"
done
for service in suricata redis-server; do
    if [[ " ${wanted[*]} " == *" $service "* ]] && command -v systemctl >/dev/null; then
        systemctl disable "$service" >/dev/null 2>&1 || true
    fi
done
