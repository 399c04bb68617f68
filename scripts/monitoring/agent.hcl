# Keeps a valid token for Prometheus in the file vault-token. The agent runs in the directory of the files that are named
# here, with VAULT_ADDR in its environment. Prometheus reads the file before each scrape.

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "role-id"
      secret_id_file_path = "secret-id"

      # Kept, so that the agent can log in again after a restart.
      remove_secret_id_file_after_reading = false
    }
  }

  sink "file" {
    config = {
      path = "vault-token"
      mode = 0600
    }
  }
}
