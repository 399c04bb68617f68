# Answers reads of a credential on loopback from memory while its lease lives, and renews the lease. The proxy
# runs in the directory of the files that are named here, with VAULT_ADDR in its environment.

auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "role-id"
      secret_id_file_path                 = "secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}

api_proxy {
  # Applications need no token of Vault's. Every program that reaches the listener acts as the proxy.
  use_auto_auth_token = true
}

cache {}

listener "tcp" {
  address     = "127.0.0.1:8100"
  tls_disable = true
}
