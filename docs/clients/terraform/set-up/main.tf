# Sets the engine up: the mount, a config, a role and a policy. Operators run it. VAULT_ADDR and VAULT_TOKEN come from
# the environment. Not run by this repository's tests; they check that the fields are the engine's, and that no secret
# gets into the state.

terraform {
  required_version = ">= 1.10" # ephemeral resources and variables

  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = ">= 5.10" # 5.7 and earlier have no ephemeral vault_generic_endpoint and vault_generic_secret
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
  ephemeral   = true # neither in the state nor in a plan file
  default     = null
  description = "Secret of the management API key, in the run that stores it or replaces it. Later runs leave it out: the config keeps it."
}

variable "trend_ca_cert" {
  type        = string
  description = "PEM certificate of the manager or of its authority."
}

resource "vault_mount" "vendorauth" {
  path = "vendorauth"
  type = "vault-plugin-secrets-vendorauth"
}

# Written in each plan and each apply. A write of the stored values changes nothing. Terraform never deletes it.
ephemeral "vault_generic_endpoint" "config_dsm" {
  mount_id = vault_mount.vendorauth.id # waits until the mount exists
  path     = "${vault_mount.vendorauth.path}/config/dsm"

  data_json = jsonencode(merge({
    vendor        = "trend"
    address       = var.trend_address
    ca_cert       = var.trend_ca_cert
    allowed_roles = ["dsm-*"]
  }, var.trend_api_key == null ? {} : { api_key = var.trend_api_key }))
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

  depends_on = [ephemeral.vault_generic_endpoint.config_dsm]
}

resource "vault_policy" "dsm_auditor" {
  name   = "dsm-auditor"
  policy = <<-EOT
    path "${vault_mount.vendorauth.path}/creds/dsm-auditor" {
      capabilities = ["read"]
    }
  EOT
}
