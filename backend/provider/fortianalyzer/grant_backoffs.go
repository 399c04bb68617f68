package fortianalyzer

import "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"

// serverTrust is how a connection recognizes the OAuth server. tls_server_name is not part of it; see [newClient].
type serverTrust struct {
	caCert     string
	skipVerify bool
}

func trustOf(config provider.Config) serverTrust {
	return serverTrust{caCert: config.CACert, skipVerify: config.TLSSkipVerify}
}

// grantBackoffs are the back-offs of an account that follow from answers of the OAuth server, for all connections with one
// trust. Connections with another trust have their own: a writer of a config with tls_skip_verify who controls the network
// could otherwise stop the logins of all configs with one answer.
//
// It is safe for concurrent use.
type grantBackoffs struct {
	// limited holds the OAuth server's 429, and lost a password grant whose answer was lost or an error.
	limited, lost provider.AuthBackoff
	// connections is the number of open connections. The mutex of the account guards it.
	connections int
}

func newGrantBackoffs() *grantBackoffs {
	return &grantBackoffs{lost: provider.AuthBackoff{Initial: minLostPause, Max: maxLostPause}}
}
