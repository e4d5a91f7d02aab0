#!/usr/bin/env bash
# What `npm pack` ships, installed into an empty folder as a user installs it: with the native module and without, small
# without, and it runs.
set -euo pipefail
cd "$(dirname "$0")/.."
start=$PWD/.ci/start.mjs
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm pack --silent --ignore-scripts --pack-destination "$folder" >/dev/null
for omit in '' '--omit=optional'; do
  home=$folder/install$omit
  mkdir "$home"
  cd "$home"
  echo '{"name":"user","version":"1.0.0","private":true}' >package.json
  npm install --silent --no-audit --no-fund --ignore-scripts $omit "$folder"/runcash-live-*.tgz
  ./node_modules/.bin/runcash-live --version
  ./node_modules/.bin/runcash-live config check
  { ./node_modules/.bin/runcash-live bench 2>&1 || true; } | grep -q checkout
  node "$start" node_modules/runcash-live/dist/src/main.js
  node --input-type=module -e "const { connect } = await import('runcash-live/client'); if (typeof connect !== 'function') process.exit(1)"
done
megabytes=$(du -sm node_modules | cut -f1)
echo "without optional packages: $megabytes MB"

[ "$megabytes" -lt 60 ]
