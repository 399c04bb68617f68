# A credential for the length of a run. Each plan and each apply makes one, whose lease ends with the token that
# the provider makes for itself.

data "vault_generic_secret" "dsm" {
  path = "${vault_mount.vendorauth.path}/creds/dsm-auditor"

  depends_on = [vault_generic_endpoint.role_dsm_auditor]
}

output "dsm_key" {
  description = "What a provider for the manager would be configured with."
  sensitive   = true
  value = {
    address    = data.vault_generic_secret.dsm.data["address"]
    token      = data.vault_generic_secret.dsm.data["token"]
    token_type = data.vault_generic_secret.dsm.data["token_type"]
  }
}
