package emulator_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// sampleLife is the lifetime of the sample vendor's credentials.
const sampleLife = time.Hour

// sample is the smallest vendor that uses all features of the package: two servers, a switch of each kind, an
// action.
func sample(name string) emulator.Vendor {
	return emulator.Vendor{
		Name: name,
		Switches: []emulator.Switch{
			emulator.Choice("mood", "how it answers", "kind", "unkind"),
			emulator.Integer("size", "how much", 3),
			emulator.Duration("patience", "how long", time.Second),
		},
		New: func(env *emulator.Env) emulator.Service {
			issue := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if env.Switch("mood") == "unkind" {
					emulator.WriteJSON(w, http.StatusTeapot, map[string]string{"mood": "unkind"})
					return
				}
				env.History.Issue(env.Random.UUID(4), emulator.KindLeased, r.URL.Query().Get("marker"), env.Now().Add(sampleLife))
				emulator.WriteJSON(w, http.StatusOK, map[string]string{"answer": "0123456789"})
			})
			body := func(int) (string, []byte) { return "application/json", []byte(`{"sample":"error"}`) }
			return emulator.Service{
				Endpoints: []emulator.Endpoint{
					{
						Name: emulator.EndpointURL, Path: "/api", Handler: issue, ErrorBody: body,
						Operation: func(_ *http.Request, body []byte) string { return string(body) },
					},
					{Name: emulator.EndpointAuthURL, Handler: issue},
				},
				Credentials: map[string]string{"key": env.Random.Hex(8)},
				Login:       map[string]string{"password": env.Random.Hex(8)},
				Actions: []emulator.Action{{
					Name: "echo", Arguments: []string{"word"}, Description: "answers what it was given",
					Do: func(arguments map[string]string) (map[string]string, error) {
						if arguments["word"] == "" {
							return nil, io.ErrUnexpectedEOF
						}
						return arguments, nil
					},
				}},
			}
		},
	}
}

// signalArrival returns the vendor with a send on arrived when its first endpoint has read a request. Its requests
// have no operation.
func signalArrival(vendor emulator.Vendor, arrived chan<- struct{}) emulator.Vendor {
	newService := vendor.New
	vendor.New = func(env *emulator.Env) emulator.Service {
		service := newService(env)
		service.Endpoints[0].Operation = func(*http.Request, []byte) string {
			arrived <- struct{}{}
			return ""
		}
		return service
	}
	return vendor
}

// start serves sample vendors until the test ends.
func start(t *testing.T, cfg emulator.Config, vendors ...emulator.Vendor) *emulator.Server {
	t.Helper()
	srv, err := emulator.Start(cfg, vendors...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return srv
}

// newClient returns a client that trusts the server's certificate, with a new connection for each request.
func newClient(t *testing.T, srv *emulator.Server) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if pem := srv.CACertPEM(); pem != nil {
		require.True(t, roots.AppendCertsFromPEM(pem))
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, // otherwise the client may repeat a request when a reused connection breaks
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// call sends a request and returns status, header and body.
func call(t *testing.T, client *http.Client, method, url, body string) (int, http.Header, string) {
	t.Helper()
	status, header, content, err := try(t, client, method, url, body)
	require.NoError(t, err)
	return status, header, content
}

// try sends a request that may fail, and returns status, header and body, or the error.
func try(t *testing.T, client *http.Client, method, url, body string) (int, http.Header, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(content), err
}
