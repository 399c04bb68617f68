# Configs and roles of the engine, by Terraform's Vault provider. VAULT_ADDR and VAULT_TOKEN come from the
# environment. Not run by this repository's tests; they check that the fields are the engine's.

terraform {
  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = ">= 4.0"
    }
  }
}

variable "trend_address" {
  type        = string
  description = "The manager's API, https://<manager>:4119/api."
}

variable "trend_api_key" {
  type        = string
  sensitive   = true
  description = "Secret of the management API key. It ends up in Terraform's state."
}

variable "trend_ca_cert" {
  type        = string
  description = "PEM certificate of the manager or of its authority."
}

resource "vault_mount" "vendorauth" {
  path = "vendorauth"
  type = "vault-plugin-secrets-vendorauth"
}

resource "vault_generic_endpoint" "config_dsm" {
  path = "${vault_mount.vendorauth.path}/config/dsm"

  # Secrets are never read back, and what is read has members that were not written.
  ignore_absent_fields = true

  data_json = jsonencode({
    vendor  = "trend"
    address = var.trend_address
    api_key = var.trend_api_key
    ca_cert = var.trend_ca_cert
  })
}

resource "vault_generic_endpoint" "role_dsm_auditor" {
  path = "${vault_mount.vendorauth.path}/roles/dsm-auditor"

  # Seconds, since that is what is read back.
  ignore_absent_fields = true

  data_json = jsonencode({
    config    = "dsm"
    role_name = "Auditor"
    ttl       = 3600
    max_ttl   = 86400
  })

  depends_on = [vault_generic_endpoint.config_dsm]
}

resource "vault_policy" "dsm_auditor" {
  name   = "dsm-auditor"
  policy = <<-EOT
    path "${vault_mount.vendorauth.path}/creds/dsm-auditor" {
      capabilities = ["read"]
    }
  EOT
}
