# Shell functions for what runs from a clone (bin/intercloud and the scripts a person types). Sourced with `clone` set to
# the clone's directory. Nothing here reads stdin or writes to stdout.

say() {
  printf 'intercloud: %s\n' "$*" >&2
}

# npm writes node_modules/.package-lock.json as the last thing of an install, so an interrupted one lacks it and is redone.
installed() {
  [ -e "$clone/node_modules/.package-lock.json" ]
}

# What npm writes beside node_modules (its cache, its logs) stays in the clone.
npm_inside() {
  export npm_config_cache="$clone/.cache/npm" npm_config_update_notifier=false
}

# Two commands started at once in a bare clone must not install over each other: a directory is the lock, and it names its
# owner so that the lock of a process that was killed is taken over.
install_once() {
  installed && return 0
  lock=$clone/.cache/install.lock
  mkdir -p "$clone/.cache"
  unowned_s=0
  until mkdir "$lock" 2>/dev/null; do
    owner=$(cat "$lock/pid" 2>/dev/null || true)
    [ -n "$owner" ] || unowned_s=$((unowned_s + 1))
    if [ "$unowned_s" -gt 10 ] || { [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; }; then
      # Taken over where it is, by one of those that see it: whoever removed it could remove the one that comes after it.
      mkdir "$lock/taken-from-${owner:-nobody}" 2>/dev/null && break
    fi
    sleep 1
    installed && return 0
  done
  echo "$$" >"$lock/pid"
  if ! installed; then
    say "first use of this clone: installing what it needs with npm ci (about 550 MB in node_modules) ..."
    if ! command -v npm >/dev/null 2>&1; then
      rm -rf "$lock"
      say "npm was not found, and this clone is not installed yet. Install Node with npm 11, then try again."
      exit 1
    fi
    # A newer Node keeps what it compiled of npm in /tmp if it is not told another place.
    if ! (cd "$clone" && npm_inside && NODE_COMPILE_CACHE="$clone/.cache/compiled" npm ci --loglevel=error --no-progress --no-fund --no-audit </dev/null >&2); then
      rm -rf "$lock"
      say "npm ci failed (its reasons are above). Check the network and the registry, then try again."
      exit 1
    fi
    rm -rf "$clone/.cache/npm" # as large as what was installed, and nobody needs it again
  fi
  rm -rf "$lock"
}

# Whether `$1 --version` is 22.18 or later: the first Node that runs TypeScript without a flag, and libp2p needs 22 anyway.
new_enough() {
  version=$("$1" --version 2>/dev/null </dev/null) || return 1
  version=${version#v}
  major=${version%%.*}
  rest=${version#*.}
  minor=${rest%%.*}
  case $major$minor in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -gt 22 ] || { [ "$major" -eq 22 ] && [ "$minor" -ge 18 ]; }
}

# Sets `node`. The one that came with npm ci is tried before the machine's own, so that everybody runs the same.
choose_node() {
  if [ -n "${INTERCLOUD_NODE:-}" ]; then
    node=$INTERCLOUD_NODE
    new_enough "$node" && return 0
    say "INTERCLOUD_NODE is \"$node\", and that is not a Node of version 22.18 or later. Correct it or unset it."
    exit 1
  fi
  node=$clone/node_modules/.bin/node
  [ -x "$node" ] && new_enough "$node" && return 0
  node=$(command -v node 2>/dev/null || true)
  [ -n "$node" ] && new_enough "$node" && return 0
  say "no Node of version 22.18 or later was found: neither in node_modules/.bin nor in PATH (${node:-no node}" \
    "${version:-}). Install one, or set INTERCLOUD_NODE to the path of one."
  exit 1
}

# Many processes share one machine in a testnet, so each is asked to keep little. Child processes inherit all of it: the
# environment by itself, and the flags because whoever starts another one passes its own process.execArgv on.
# Measured on an idle dealer: 138 MB without any of it, 104 MB with it.
set_node_options() {
  # glibc keeps freed memory for long: one arena and a fixed threshold give it back sooner.
  export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-1}" MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-131072}"
  # What was compiled once is read back, so that later starts need neither the time nor the memory of a compiler.
  export NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-$clone/.cache/compiled}"
  # Young objects die early here; a small nursery costs little time and saves memory in each process. In heaps as small as
  # ours V8's helper threads cost more than they save: a fifth of all CPU time while bytes pass.
  # Older Nodes warn that running TypeScript is experimental; that would only stand between the user and our messages.
  node_flags="--max-semi-space-size=4 --single-threaded-gc --disable-warning=ExperimentalWarning"
}
