package httpclient

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// fieldCACert is the config field that errors about trusted certificates name.
const fieldCACert = "ca_cert"

// tlsConfig returns the TLS settings of a connection: at least TLS 1.2, and either the operator's trusted certificates
// or the system's.
func tlsConfig(options Options) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: options.TLSServerName,
		// A resumed session saves most of a handshake. It belongs to this client, and so to these settings.
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
		// The operator has to set it explicitly, and the engine warns about it.
		InsecureSkipVerify: options.TLSSkipVerify, //nolint:gosec // see above
	}
	if options.CACert != "" {
		pool, err := parseCACert([]byte(options.CACert))
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	return config, nil
}

// parseCACert reads a PEM bundle, in which every block must be a valid certificate. x509.CertPool.AppendCertsFromPEM
// ignores invalid blocks, and an incomplete bundle would fail only when the vendor's certificate changes.
func parseCACert(bundle []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	count := 0
	rest := bundle
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, provider.InvalidField(fieldCACert, "contains a PEM block that is not a CERTIFICATE")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, provider.InvalidField(fieldCACert, "certificate %d cannot be parsed", count+1)
		}
		pool.AddCert(certificate)
		count++
	}
	if count == 0 {
		return nil, provider.InvalidField(fieldCACert, "contains no PEM certificate")
	}
	if bytes.Contains(rest, []byte("-----BEGIN")) {
		return nil, provider.InvalidField(fieldCACert, "certificate %d is not complete PEM", count+1)
	}
	return pool, nil
}
