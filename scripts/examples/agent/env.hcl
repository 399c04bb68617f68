# Starts an application with a credential in its environment, and restarts it with each new one. The agent
# runs in the directory of the files that are named here, with VAULT_ADDR and VENDORAUTH_CREDS in its
# environment.

auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "role-id"
      secret_id_file_path                 = "secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}

template_config {
  exit_on_retry_failure = false

  # The agent waits two seconds before it restarts the application, and the application needs time to
  # stop. So a credential that cannot be renewed is replaced early: at half of its lease.
  lease_renewal_threshold = 0.5
}

env_template "API_ADDRESS" {
  contents             = "{{ with secret (env \"VENDORAUTH_CREDS\") }}{{ .Data.address }}{{ end }}"
  error_on_missing_key = true
}

env_template "API_TOKEN" {
  contents             = "{{ with secret (env \"VENDORAUTH_CREDS\") }}{{ .Data.token }}{{ end }}"
  error_on_missing_key = true
}

env_template "API_TOKEN_TYPE" {
  contents             = "{{ with secret (env \"VENDORAUTH_CREDS\") }}{{ .Data.token_type }}{{ end }}"
  error_on_missing_key = true
}

exec {
  command                   = ["./application"]
  restart_on_secret_changes = "always"
  restart_stop_signal       = "SIGTERM"
}
