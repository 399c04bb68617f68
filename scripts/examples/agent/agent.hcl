# Keeps a working credential in the file credential.json. The agent runs in the directory of the files that
# are named here, with VAULT_ADDR and VENDORAUTH_CREDS in its environment.

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "role-id"
      secret_id_file_path = "secret-id"

      # Kept, so that the agent can log in again after a restart.
      remove_secret_id_file_after_reading = false
    }
  }
}

template_config {
  # A credential that cannot be had now may be had later: the agent goes on trying, and until then the file
  # holds the one before.
  exit_on_retry_failure = false
}

template {
  source               = "credential.ctmpl"
  destination          = "credential.json"
  perms                = "0600"
  error_on_missing_key = true
}
