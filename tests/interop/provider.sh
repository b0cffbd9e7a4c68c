#!/bin/sh
# Installs the identity provider that the sign-in tests meet, by name and version, into a cache outside
# the tree: $WARREN_PEERS/provider (default ~/.cache/warren-peers/provider). Quick when it is there.
# Prints that folder. Exit code 77: Node.js or npm is missing or too old.
set -eu

package=oidc-provider
version=8.8.1
node_minimum=18

cache=${WARREN_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/warren-peers}/provider
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ "$(cat "$cache/stamp" 2>/dev/null)" = "$package@$version" ]; then
  echo "$cache"
  exit 0
fi
found=$(node --version 2>/dev/null | sed 's/^v//; s/\..*//') || found=
if [ -z "$found" ] || [ "$found" -lt "$node_minimum" ] || ! command -v npm >/dev/null; then
  echo "skipped: needs Node.js >= $node_minimum with npm"
  exit 77
fi
echo "installing $package $version…" >&2
rm -rf "$cache/node_modules" "$cache/stamp"
npm install --prefix "$cache" --no-audit --no-fund --no-save --ignore-scripts --loglevel=error \
  "$package@$version" >&2
printf '%s\n' "$package@$version" >"$cache/stamp"
echo "$cache"
