package httpclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// certificate is a self-signed certificate of a test server.
type certificate struct {
	pem  string
	pair tls.Certificate
}

func newCertificate(t *testing.T, name string, expires time.Time) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              []string{name},
		NotBefore:             time.Now().Add(-48 * time.Hour),
		NotAfter:              expires,
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return certificate{
		pem:  string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		pair: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
}

func tlsServer(t *testing.T, of certificate) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{}`))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{of.pair}}
	server.Config.ErrorLog = quietLog()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestNew_MalformedCACert_IsInvalid(t *testing.T) {
	good := newCertificate(t, "ftd.example", time.Now().Add(time.Hour)).pem
	const garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	for name, test := range map[string]struct{ bundle, says string }{
		"text":           {"no PEM at all", "contains no PEM certificate"},
		"blank":          {"\n", "contains no PEM certificate"},
		"private key":    {key, "not a CERTIFICATE"},
		"garbled":        {garbled, "certificate 1 cannot be parsed"},
		"third garbled":  {good + good + garbled, "certificate 3 cannot be parsed"},
		"second cut off": {good + good[:len(good)/2], "certificate 2 is not complete PEM"},
		"key too":        {good + key, "not a CERTIFICATE"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := httpclient.New(httpclient.Options{Address: "ftd.example", CACert: test.bundle})
			failure, ok := errors.AsType[*provider.Error](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, provider.ClassInvalid, failure.Class)
			assert.Equal(t, "ca_cert", failure.Field)
			assert.Contains(t, failure.Message, test.says)
		})
	}
}

func TestNew_CACertWithComments_IsAccepted(t *testing.T) {
	one := newCertificate(t, "one.example", time.Now().Add(time.Hour)).pem
	two := newCertificate(t, "two.example", time.Now().Add(time.Hour)).pem
	_, err := httpclient.New(httpclient.Options{Address: "one.example", CACert: "# one\n" + one + "\n# two\n" + two + "\n"})
	require.NoError(t, err)
}

func TestDo_UntrustedCertificate_IsInvalidWithRemedy(t *testing.T) {
	valid := newCertificate(t, "ftd.example", time.Now().Add(time.Hour))
	expired := newCertificate(t, "ftd.example", time.Now().Add(-time.Hour))
	for name, test := range map[string]struct {
		server  certificate
		options httpclient.Options
		class   provider.Class // ClassUnknown: no error
		remedy  string
	}{
		"trusted":              {server: valid, options: httpclient.Options{CACert: valid.pem, TLSServerName: "ftd.example"}},
		"not verified":         {server: expired, options: httpclient.Options{TLSSkipVerify: true}},
		"unknown authority":    {server: valid, options: httpclient.Options{TLSServerName: "ftd.example"}, class: provider.ClassInvalid, remedy: "set ca_cert in config/edge"},
		"name mismatch":        {server: valid, options: httpclient.Options{CACert: valid.pem}, class: provider.ClassInvalid, remedy: "set tls_server_name in config/edge"},
		"expired":              {server: expired, options: httpclient.Options{CACert: expired.pem, TLSServerName: "ftd.example"}, class: provider.ClassInvalid, remedy: "replace the server's certificate, or correct the clock"},
		"last resort is named": {server: valid, class: provider.ClassInvalid, remedy: "tls_skip_verify=true is the last resort"},
	} {
		t.Run(name, func(t *testing.T) {
			server := tlsServer(t, test.server)
			test.options.Name, test.options.Address, test.options.MaxRetries = "edge", server.URL, 3
			client := newClient(t, test.options)
			_, err := client.Do(t.Context(), httpclient.Request{Op: "test: read", Idempotent: true})
			if test.class == provider.ClassUnknown {
				require.NoError(t, err)
				return
			}
			failure, ok := errors.AsType[*provider.Error](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, test.class, failure.Class, failure.Error())
			assert.Contains(t, failure.Remedy, test.remedy)
			assert.Contains(t, failure.Remedy, "last resort")
		})
	}
}

func TestDo_OldTLSVersion_IsUnavailable(t *testing.T) {
	valid := newCertificate(t, "ftd.example", time.Now().Add(time.Hour))
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{valid.pair}, MaxVersion: tls.VersionTLS11}
	server.Config.ErrorLog = quietLog()
	server.StartTLS()
	defer server.Close()
	client := newClient(t, httpclient.Options{Address: server.URL, TLSSkipVerify: true})
	_, err := client.Do(t.Context(), httpclient.Request{Op: "test: create", Method: http.MethodPost})
	require.Error(t, err)
	assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "the handshake failed, so nothing was sent: %v", err)
}

func TestDo_ServerWithoutTLS_IsInvalid(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	talkative, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = talkative.Close() }()
	go func() {
		for {
			connection, err := talkative.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n"))
			_ = connection.Close()
		}
	}()
	for name, address := range map[string]string{
		"plain HTTP":       strings.Replace(plain.URL, "http://", "https://", 1),
		"another protocol": "https://" + talkative.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, httpclient.Options{Name: "edge", Address: address})
			_, err := client.Do(t.Context(), httpclient.Request{Op: "test: create", Method: http.MethodPost})
			failure, ok := errors.AsType[*provider.Error](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, provider.ClassInvalid, failure.Class, failure.Error())
			assert.Equal(t, "address", failure.Field)
			assert.Contains(t, failure.Message, "does not speak TLS")
		})
	}
}

func TestDo_HandshakeTimeout_IsUnavailable(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	client := newClient(t, httpclient.Options{Address: silent.Addr().String(), RequestTimeout: 50 * time.Millisecond})
	_, err = client.Do(t.Context(), httpclient.Request{Op: "test: create", Method: http.MethodPost})
	assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
	assert.ErrorContains(t, err, "no connection within 50ms")
}
