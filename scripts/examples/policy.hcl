# What an application needs: to read its credentials, and nothing else of this engine. Renewing its leases and
# its token is in Vault's own policy "default".
path "vendorauth/creds/dsm-auditor" {
  capabilities = ["read"]
}
