# shellcheck shell=bash
# What scripts/run and scripts/test share: a virtual environment in .venv with exactly what a lock file names.
# Sourced from the repository's root. Runs on the bash 3.2 of macOS.

say() { printf '== %s\n' "$*"; }

# die EXIT_CODE WHAT REMEDY
die() {
  printf '%s: %s\n   %s\n' "$0" "$2" "$3" >&2
  exit "$1"
}

# A name on PATH is no proof: pyenv leaves shims for versions that are not selected, and they only print an error.
is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in python3.13 python3.12 python3.11 python3.14 python3 python; do
    if command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

check_machine() {
  case "$(uname -s)" in
    Darwin)
      # Python decides, not uname: under Rosetta an arm64 Mac runs an x86_64 Python, for which there is no MLX.
      if [ -n "$1" ] && [ "$("$1" -c 'import platform; print(platform.machine())')" != arm64 ]; then
        die 69 "MLX needs Apple silicon and a native Python; $1 is not one" \
          "Install a native Python (brew install python@3.13 in a terminal without Rosetta), then run this again."
      fi ;;
    Linux) ;;
    *) die 69 "MLX runs on macOS and Linux, not on $(uname -s)" "On Windows, use WSL 2." ;;
  esac
}

no_python() {
  local found=""
  if command -v python3 >/dev/null 2>&1; then
    found=" ($(python3 --version 2>&1 | head -n 1) is too old or does not run)"
  fi
  die 69 "Python 3.11 or newer is needed, and none was found$found" \
    "Install one (macOS: brew install python@3.13; Debian, Ubuntu: apt install python3 python3-venv), or uv, which brings its own."
}

make_environment() {
  local python
  python=$(find_python || true)
  check_machine "$python"
  rm -rf .venv
  if command -v uv >/dev/null 2>&1; then
    say "Making .venv with $(uv --version)"
    # Without a Python of the machine's own, uv brings one.
    uv venv --quiet --no-project --python "${python:-3.13}" .venv || no_python
  else
    [ -n "$python" ] || no_python
    say "Making .venv with $("$python" --version 2>&1)"
    "$python" -m venv .venv || {
      rm -rf .venv
      die 69 "$python cannot make a virtual environment" \
        "Debian and Ubuntu: apt install python3-venv. Or install uv. Then run this again."
    }
  fi
}

# install_with ARGUMENT... : the same words for uv and pip. Both check every file against the lock's hashes.
install_with() {
  if command -v uv >/dev/null 2>&1; then
    uv pip install --python .venv/bin/python "$@"
  else
    .venv/bin/python -m pip install --disable-pip-version-check --no-input "$@"
  fi
}

# Quick, quiet, and only to learn why; pip names the connection only when it retries, so it gets one retry.
why_not_installed() {
  local reason
  reason=$(UV_HTTP_RETRIES=0 PIP_RETRIES=1 PIP_DEFAULT_TIMEOUT=5 install_with "$@" 2>&1) && return 0
  if printf '%s' "$reason" | grep -qiE 'dns error|name resolution|resolve host|nodename nor servname|failed to establish|error sending request|connection refused|network is unreachable|connect timeout|timed out|failed to fetch|client error \(connect\)|proxyerror'; then
    die 69 "the packages could not be fetched: this machine does not reach its package index" \
      "Connect it (or name a mirror: PIP_INDEX_URL for pip, UV_DEFAULT_INDEX for uv), then run this again: what was fetched is kept."
  fi
  die 70 "the packages could not be installed; the lines above say why" \
    "Correct that, then run this again. To begin from nothing: rm -rf .venv"
}

install_or_explain() {
  install_with "$@" || why_not_installed "$@"
}

# What the environment must agree with; the folder counts because a venv cannot be moved.
fingerprint() {
  { cat "$1" pyproject.toml; pwd -P; } | cksum | tr ' ' '-'
}

# set_up LOCK_FILE [OTHER_LOCK_FILE...] : makes .venv hold LOCK_FILE; an environment made from one of the others, each
# a superset, is as good. Does nothing when it was done before.
set_up() {
  local lock=$1 candidate
  if [ -d .venv ] && .venv/bin/python -c '' >/dev/null 2>&1; then
    for candidate in "$@"; do
      [ "$(cat .venv/set-up-from 2>/dev/null)" = "$candidate $(fingerprint "$candidate")" ] && return 0
    done
  else
    make_environment
  fi
  rm -f .venv/set-up-from
  say "Installing $(grep -c '==' "$lock") packages from $lock (the first time a few hundred megabytes)"
  install_or_explain --require-hashes -r "$lock"
  say "Installing ringwarden itself"
  # The build tools are in the lock too, so nothing is fetched that has no hash.
  install_or_explain --quiet --no-deps --no-build-isolation --editable .
  printf '%s %s\n' "$lock" "$(fingerprint "$lock")" >.venv/set-up-from
}
