#!/bin/sh
# Builds the peers that the interoperability tests meet, official ones by name and version and our two
# control servers, into a cache outside the tree: $WARREN_PEERS/bin (default ~/.cache/warren-peers/bin).
# Quick when nothing changed. Prints that folder. Exit code 77: Go is missing or too old.
set -eu

go_minimum=1.26.6
tailscale=tailscale.com/cmd
tailscale_version=v1.102.5
wireguard=golang.zx2c4.com/wireguard@v0.0.0-20260522210424-ecfc5a8d5446

here=$(cd "$(dirname "$0")" && pwd)
cache=${WARREN_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/warren-peers}
stamp=$(cd "$here" && find . -name '*.go' -o -name 'go.*' -o -name peers.sh | LC_ALL=C sort | xargs sha256sum | sha256sum)

mkdir -p "$cache/bin"
exec 9>"$cache/lock"
flock 9
if [ "$(cat "$cache/stamp" 2>/dev/null)" = "$stamp" ]; then
  echo "$cache/bin"
  exit 0
fi

export GOTOOLCHAIN=local GOFLAGS=
found=$(go env GOVERSION 2>/dev/null | sed 's/^go//') || found=
oldest=$(printf '%s\n%s\n' "$go_minimum" "$found" | sort -V | head -n 1)
if [ -z "$found" ] || [ "$oldest" != "$go_minimum" ]; then
  echo "skipped: needs Go >= $go_minimum${found:+ (found $found)}"
  exit 77
fi

echo "building the peers of the interoperability tests (minutes the first time)…" >&2
rm -f "$cache/stamp"
new=$cache/bin.new
rm -rf "$new"
mkdir "$new"
GOBIN=$new go install \
  "$tailscale/tailscale@$tailscale_version" "$tailscale/tailscaled@$tailscale_version" \
  "$tailscale/derper@$tailscale_version" "$tailscale/stunc@$tailscale_version"
GOBIN=$new go install "$wireguard"
mv "$new/wireguard" "$new/wireguard-go"
(cd "$here" && go build -o "$new/" ./labcontrol ./labregister)
for program in "$new"/*; do
  mv -f "$program" "$cache/bin/"
done
rmdir "$new"
printf '%s\n' "$stamp" >"$cache/stamp"
echo "$cache/bin"
