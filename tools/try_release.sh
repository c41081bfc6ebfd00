#!/usr/bin/env bash
# Builds this checkout and runs its fast tests on another Debian release: `tools/try_release.sh --help`.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'END'
Usage: tools/try_release.sh RELEASE [FOLDER]

  RELEASE   bookworm, trixie, ... what debootstrap knows
  FOLDER    where the release is installed (default /var/tmp/lorikeet-RELEASE)

Installs the release into FOLDER with debootstrap, from the mirror that this machine's apt uses; copies the checkout
to FOLDER/lorikeet (files that git ignores are left out) and runs `./test.sh --fast` there, which installs the packages
that the build needs. Run it again to try what has changed since: release, packages and objects are kept.
Needs root, and on the first run the network. Every mount it makes is gone when it ends. Remove FOLDER to clean up.
END
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
  '' | -*) usage >&2; exit 2 ;;
esac
release=$1
root=${2:-/var/tmp/lorikeet-$release}
if [ "$(id -u)" != 0 ]; then echo "try_release.sh: must be run as root (debootstrap, mount, chroot)" >&2; exit 1; fi
if ! command -v debootstrap >/dev/null; then
  echo "try_release.sh: debootstrap is missing: apt-get install debootstrap" >&2
  exit 1
fi

say() { printf '\n== %s\n' "$*"; }

# The mirror that has the packages of the running release, not its security updates.
mirror() {
  apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk -v code="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$2 == code && $3 == "main" { print $1; exit }'
}

mkdir -p "$root"
root=$(cd "$root" && pwd)
if [ ! -e "$root/.installed" ]; then
  say "debootstrap $release in $root"
  site=$(mirror)
  if [ -z "$site" ]; then echo "try_release.sh: apt names no mirror for this machine's release" >&2; exit 1; fi
  if ! debootstrap --variant=minbase "$release" "$root" "$site" >"$root.log" 2>&1; then
    tail -n 20 "$root.log" >&2
    echo "try_release.sh: debootstrap failed; its output is in $root.log" >&2
    exit 1
  fi
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/no-sync"  # a folder that can be made again
  touch "$root/.installed"
fi
# How this machine's apt reaches its mirror holds there too.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
for file in /etc/apt/apt.conf.d/*; do
  if grep -qs 'Proxy' "$file"; then cp "$file" "$root/etc/apt/apt.conf.d/"; fi
done

say "the checkout, copied to $root/lorikeet"
mkdir -p "$root/lorikeet"
find "$root/lorikeet" -mindepth 1 -maxdepth 1 ! -name build ! -name out -exec rm -rf {} +
git ls-files --cached --others --exclude-standard -z |
  while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
  tar --create --null --files-from=- | tar --extract --directory "$root/lorikeet"

mounted=
unmount() {
  local place
  for place in $mounted; do umount "$root/$place" || echo "try_release.sh: $root/$place is still mounted" >&2; done
}
trap unmount EXIT
for place in proc sys dev; do
  if [ $place = proc ]; then mount -t proc proc "$root/proc"; else mount --bind /$place "$root/$place"; fi
  mounted="$place $mounted"
done

say "./test.sh --fast on $(. "$root/etc/os-release" && echo "$PRETTY_NAME")"
status=0
chroot "$root" env HOME=/root LC_ALL=C.UTF-8 /lorikeet/test.sh --fast || status=$?
if [ $status = 0 ]; then say "passed on $release"; else say "failed on $release"; fi
exit $status
