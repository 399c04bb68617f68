# Uses a credential for the length of a run. VAULT_ADDR and a VAULT_TOKEN with the policy dsm-auditor come from the
# environment. Not run by this repository's tests; they check that the engine has the path and the members.

terraform {
  required_version = ">= 1.10" # ephemeral resources

  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = ">= 5.10"
    }
    restapi = {
      source = "Mastercard/restapi" # stands for the provider of the product
    }
  }
}

# Read in each plan and each apply. It stands in no state and no plan file.
ephemeral "vault_generic_secret" "dsm" {
  path = "vendorauth/creds/dsm-auditor"
}

provider "restapi" {
  uri = ephemeral.vault_generic_secret.dsm.data["address"]
  headers = {
    "api-secret-key" = ephemeral.vault_generic_secret.dsm.data["token"]
    "api-version"    = ephemeral.vault_generic_secret.dsm.data["api_version"]
  }
}
