#!/bin/bash
# Installs, upgrades, removes and purges the Debian package on a copy of this machine that is thrown away, with a systemd
# of its own as process 1. Usage: deb-machine.sh RESULTS, where old.deb and new.deb lie and `report` is written.
# INVARIANT: in namespaces of processes, mounts and network that end with it; nothing outside RESULTS is written to.
set -u
results=$1
mount -t tmpfs tmpfs /run || exit 1
mkdir -p /run/{upper,work,root} || exit 1
mount -t overlay overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work /run/root || exit 1
for place in /run /tmp; do mount -t tmpfs tmpfs "/run/root$place" || exit 1; done
# Of the copy: the package is to make and remove these itself.
rm -rf /run/root/{var/lib,var/log,etc}/overlay /run/root/usr/local/bin/overlay
for place in /proc /sys /dev; do mount --rbind $place "/run/root$place" || exit 1; done
mkdir /run/root/run/{results,lock} && mount --bind "$results" /run/root/run/results || exit 1
ip link set lo up

drop_ins=/run/root/etc/systemd/system/overlay@.service.d
mkdir -p $drop_ins
printf '[Unit]\nDefaultDependencies=no\nAfter=\nWants=\n' > $drop_ins/alone.conf
printf '[Unit]\nDefaultDependencies=no\n' > /run/root/etc/systemd/system/all.target

cat > /run/root/run/steps <<'STEPS'
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
# until_true COMMAND...: polls for at most 20 s.
until_true() {
  for _ in $(seq 100); do "$@" > /dev/null 2>&1 && return; sleep 0.2; done
}
pid() { systemctl show -p MainPID --value overlay@wg0; }
is_new() { [ "$(pid)" -gt 1 ] && [ "$(pid)" != "$before" ] && overlay status wg0; }
# Whether this machine has Node from a Debian package is no matter of this test.
package() { dpkg --ignore-depends=nodejs "$@" 2>&1 | sed 's/^/dpkg: /'; }
interfaces() { for name in wg0 wg1; do ip link show $name > /dev/null 2>&1 && echo "$1 has $name"; done; }

until_true systemctl is-system-running
package -i /run/results/old.deb
echo "version $(overlay --version)"
stat -c 'directory %n %a' /etc/overlay
for file in man/man1/overlay-up.1.gz bash-completion/completions/overlay; do
  [ -s /usr/share/$file ] && echo "file $file"
done
for name in wg0 wg1; do
  (umask 077; printf '[Interface]\nPrivateKey = %s\n' "$(overlay genkey)" > /etc/overlay/$name.conf)
done
systemctl enable --now overlay@wg0 2>&1
until_true overlay status wg0
overlay up wg1
interfaces installed
before=$(pid)
package -i /run/results/new.deb
until_true is_new
is_new > /dev/null && echo 'the service was restarted'
interfaces upgraded
package -r overlay
interfaces removed
ls -d /usr/bin/overlay* /usr/lib/overlay /usr/lib/systemd/system/overlay* 2> /dev/null
[ -s /etc/overlay/wg0.conf ] && echo 'removed keeps wg0.conf'
package -P overlay
[ -s /etc/overlay/wg0.conf ] && echo 'purged keeps wg0.conf'
ls -d /var/lib/overlay /var/log/overlay /etc/systemd/system/*.wants/overlay@* 2> /dev/null | sed 's/^/left: /'
dpkg -s overlay 2> /dev/null | sed 's/^/known: /'
echo done
STEPS
chroot /run/root bash /run/steps > "$results/report" 2>&1 &
exec chroot /run/root /lib/systemd/systemd --system --unit=all.target --log-target=null
