# Sourced by the scripts that build: the packages that Lorikeet needs from Debian, and how they are installed. The names
# are those of Debian 12 (bookworm), on which it is built and tested; Debian 13 (trixie) has the same (tools/try_release.sh).

build_packages="g++ cmake ninja-build pkg-config libdnnl-dev libhwy-dev libcli11-dev libyaml-cpp-dev
  nlohmann-json3-dev libfmt-dev libpcre2-dev libutf8proc-dev libcpp-httplib-dev libssl-dev
  libmpfr-dev libgmp-dev zlib1g-dev libzstd-dev libboost-dev libsqlite3-dev"
# Programs that it calls: gnuplot draws the figures of a study.
run_packages="gnuplot-nox"

# Prints those of the packages that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || echo "$package"
  done
}

# install_packages LOG PACKAGE...: installs missing packages; does not use the network if there are none.
install_packages() {
  local log=$1 missing as_root=
  shift
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "This is not Debian: please install these packages, or your system's equivalents: $*" >&2
    return 0
  fi
  missing=$(missing_packages "$@" | tr '\n' ' ')
  if [ -z "$missing" ]; then return 0; fi
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "error: missing packages, and neither root nor sudo to install them: apt-get install $missing" >&2
      return 1
    fi
    as_root=sudo
  fi
  # shellcheck disable=SC2086  # lists of words
  if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends $missing; } </dev/null >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    echo "error: apt-get could not install: $missing (its output: $log)" >&2
    return 1
  fi
}
