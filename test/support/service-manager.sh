#!/bin/bash
# Starts the units of configs/ under a systemd of their own, as its process 1: in namespaces of processes, mounts and
# network that end with it. Usage: service-manager.sh CHECKOUT RESULTS
# INVARIANT: no unit of this machine is started, and nothing outside RESULTS is written to.
set -u
checkout=$1 results=$2
mount -t tmpfs tmpfs /run || exit 1
mkdir -p /run/program /run/bin /run/results /etc/overlay
mount --bind "$checkout" /run/program && mount --bind "$results" /run/results || exit 1
for place in /tmp /var/lib /var/log /etc/overlay; do mount -t tmpfs tmpfs $place || exit 1; done
ip link set lo up
ln -s /run/program/bin/overlay /run/bin/overlay
export PATH=/run/bin:$PATH

units=/run/systemd/system
mkdir -p $units
cp /run/program/configs/*.service $units
for unit in overlay-hub overlay@wg0; do
  mkdir -p $units/$unit.service.d
  cat > $units/$unit.service.d/alone.conf <<EOF
[Unit]
DefaultDependencies=no
After=
Wants=
[Service]
Environment="PATH=$PATH"
StandardOutput=append:/run/results/$unit.log
StandardError=append:/run/results/$unit.log
EOF
done
printf '[Unit]\nDefaultDependencies=no\nWants=overlay-hub.service overlay@wg0.service\n' > $units/all.target

(umask 077 && overlay genkey > /etc/overlay/private.key)
cat > /etc/overlay/wg0.conf <<EOF
[Interface]
PrivateKeyFile = /etc/overlay/private.key
Address = 10.20.0.1/24
PostUp = echo \$(grep CapEff /proc/self/status) > /run/results/postup
PostDown = touch /run/results/postdown
EOF
overlay hub init home --address 127.0.0.1 || exit 1

# until_true COMMAND...: polls for at most 20 s.
until_true() {
  for _ in $(seq 100); do "$@" > /dev/null 2>&1 && return; sleep 0.2; done
}
property() { systemctl show -p "$2" --value "$1"; }
caps() { grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' "/proc/$(property "$1" MainPID)/status" | sed "s/^/$1 /"; }
is_new() { local pid; pid=$(property overlay@wg0 MainPID); [ "$pid" -gt 1 ] && [ "$pid" != "$before" ] && overlay status wg0; }

{
  until_true systemctl is-active -q overlay-hub
  until_true systemctl is-active -q overlay@wg0
  until_true test -s /run/results/postup
  caps overlay-hub
  caps overlay@wg0
  overlay hub status | sed 's/^/hub /'
  overlay hub token create > /run/results/token 2>&1
  stat -c 'store %U %a' /var/lib/private/overlay-hub/hub.db
  before=$(property overlay@wg0 MainPID)
  [ "$before" -gt 1 ] && kill -9 "$before"
  until_true is_new
  overlay status wg0 | head -1 | sed 's/^/again /'
  systemctl stop overlay@wg0 overlay-hub
  for unit in overlay-hub overlay@wg0; do echo "end $unit $(property $unit Result) $(property $unit ExecMainStatus)"; done
  echo done
} > /run/results/report 2>&1 &

exec /lib/systemd/systemd --system --unit=all.target --log-target=null
