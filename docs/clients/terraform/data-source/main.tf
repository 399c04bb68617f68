# THE LAST RESORT, for Terraform before 1.10 or a provider without ephemeral resources: the state contains the
# credential. Each plan and each apply issues one. A reader of the state can use it until its lease ends, and
# where the vendor cannot revoke, until it expires. Use a short ttl, and a state that is encrypted and that few can read.

data "vault_generic_secret" "dsm" {
  path = "vendorauth/creds/dsm-auditor"
}

output "dsm_key" {
  description = "What a provider for the manager would be configured with."
  sensitive   = true # hides it on the screen. The state contains it
  value = {
    address    = data.vault_generic_secret.dsm.data["address"]
    token      = data.vault_generic_secret.dsm.data["token"]
    token_type = data.vault_generic_secret.dsm.data["token_type"]
  }
}
