#!/usr/bin/env bash
# Keeps a working credential in a file. It needs only the vault command.
#
#   VAULT_ADDR=… VAULT_TOKEN=… renew.sh vendorauth/creds/ROLE FILE
#
# FILE holds the output of `vault read -format=json`. The script renews the lease as long as that is possible. It replaces
# FILE when the lease cannot be renewed or the role's max_ttl is near. On SIGTERM or SIGINT it revokes the lease.
set -euo pipefail
umask 077 # the file holds a secret

path=$1 file=$2
lease="" duration=0 renewable=false full=0 sleeper=""

# member NAME prints a member of the JSON on its input, which has one member in each line.
member() {
  sed -n 's/^ *"'"$1"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' | head -n 1
}

# acquire writes a new credential to the file. The previous one works until the end of its lease, for a program that has just
# read it.
acquire() {
  vault read -format=json "$path" >"$file.new" || return 1
  lease=$(member lease_id <"$file.new")
  duration=$(member lease_duration <"$file.new")
  renewable=$(member renewable <"$file.new")
  full=$duration
  mv -f "$file.new" "$file" # in one step: a reader sees the old credential or the new one
  echo "new credential for ${duration}s, renewable: $renewable"
}

# renew renews the lease. It fails when Vault refuses that, or when the renewed lease is short because max_ttl is near.
renew() {
  local answer
  [[ "$renewable" == true ]] || return 1
  answer=$(vault lease renew -format=json "$lease") || return 1
  duration=$(member lease_duration <<<"$answer")
  ((3 * duration >= 2 * full)) || return 1
  echo "renewed for ${duration}s"
}

# finish revokes the lease when the script ends.
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
  # In the background, so that a signal interrupts it at once. Two thirds of the lease leave time for another attempt.
  sleep $((duration > 2 ? duration * 2 / 3 : 1)) &
  sleeper=$!
  wait "$sleeper"
  # When Vault or the vendor is unreachable, the old credential may still work, so try again soon.
  renew || acquire || duration=$((duration / 3))
done
