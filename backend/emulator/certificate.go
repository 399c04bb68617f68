package emulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// certificateLife is the lifetime of the CA's and the server's certificate. Clients check it by the real
// clock. It must be longer than any demo runs.
const certificateLife = 365 * 24 * time.Hour

// newCertificate makes a CA and a server certificate for loopback, and returns the CA's certificate in PEM.
// The keys do not depend on the seed: if a user trusts the CA, its key must be impossible to guess.
func newCertificate(listen net.IP) (leaf tls.Certificate, caPEM []byte, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return leaf, nil, fmt.Errorf("make the CA's key: %w", err)
	}
	start := time.Now().Add(-time.Hour)
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(start.UnixNano()),
		Subject:               pkix.Name{CommonName: "vendor-emulator CA"},
		NotBefore:             start,
		NotAfter:              start.Add(certificateLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return leaf, nil, fmt.Errorf("make the CA's certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return leaf, nil, fmt.Errorf("make the server's key: %w", err)
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(start.UnixNano() + 1),
		Subject:      pkix.Name{CommonName: "vendor-emulator"},
		NotBefore:    start,
		NotAfter:     start.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, listen},
	}
	der, err := x509.CreateCertificate(rand.Reader, server, ca, key.Public(), caKey)
	if err != nil {
		return leaf, nil, fmt.Errorf("make the server's certificate: %w", err)
	}
	caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, caPEM, nil
}
