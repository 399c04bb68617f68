# What Prometheus needs: to read the metrics of the mount, and nothing else of this engine. Renewing its token is in
# Vault's own policy "default".
path "vendorauth/metrics" {
  capabilities = ["read"]
}
