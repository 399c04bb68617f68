#!/usr/bin/env bash
# Keeps a working credential in a file, by nothing but the vault command.
#
#   VAULT_ADDR=… VAULT_TOKEN=… renew.sh vendorauth/creds/ROLE FILE
#
# FILE holds what `vault read -format=json` answers. While its lease can be renewed, it is; otherwise, and once
# the role's max_ttl is near, FILE is replaced. On SIGTERM or SIGINT the lease is revoked.
set -euo pipefail
umask 077 # the file holds a secret

path=$1 file=$2
lease="" duration=0 renewable=false full=0 sleeper=""

# member NAME prints a member of Vault's JSON, which has one a line.
member() {
  sed -n 's/^ *"'"$1"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' | head -n 1
}

# acquire puts a new credential into the file. The one before lives to the end of its lease, for those who have
# read it just now.
acquire() {
  vault read -format=json "$path" >"$file.new" || return 1
  lease=$(member lease_id <"$file.new")
  duration=$(member lease_duration <"$file.new")
  renewable=$(member renewable <"$file.new")
  full=$duration
  mv -f "$file.new" "$file" # a reader finds the old credential or the new one, never half of one
  echo "new credential for ${duration}s, renewable: $renewable"
}

# renew renews the lease, and fails when that is refused or brings little: max_ttl is near.
renew() {
  local answer
  [[ "$renewable" == true ]] || return 1
  answer=$(vault lease renew -format=json "$lease") || return 1
  duration=$(member lease_duration <<<"$answer")
  ((3 * duration >= 2 * full)) || return 1
  echo "renewed for ${duration}s"
}

# finish ends the credential with the script.
finish() {
  if [[ -n "$sleeper" ]]; then kill "$sleeper" 2>/dev/null || true; fi
  rm -f "$file.new"
  if [[ -n "$lease" ]]; then vault lease revoke "$lease"; fi
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

acquire
while true; do
  # In the background, so that a signal is served at once. Two thirds leave time for another attempt.
  sleep $((duration > 2 ? duration * 2 / 3 : 1)) &
  sleeper=$!
  wait "$sleeper"
  # When Vault or the vendor cannot be reached, the old credential may still work: try again soon.
  renew || acquire || duration=$((duration / 3))
done
