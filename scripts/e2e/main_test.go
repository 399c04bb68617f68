// Package e2e tests the engine from a user's point of view, on a real Vault server with raft storage. The plugin runs
// as an external process, and the emulators of the vendors serve TLS. `make test` builds the programs.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// startTimeout bounds the start of the servers on a slow machine.
const startTimeout = 3 * time.Minute

// server is shared by all tests. Each test uses its own mount, and resets the emulators first.
var server *devserver.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	started, err := devserver.Start(ctx, devserver.Options{LogLevel: "trace", Log: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	server = started
	code := m.Run()
	if code == 0 {
		// At the end, when everything has been logged and stored.
		if err := scanForSecrets(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			code = 1
		}
	}
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return code
}

// responses keeps the body of every answer of Vault to a test, for the search for secrets.
var responses recorder

// recorder keeps the bodies of answers.
type recorder struct {
	mu     sync.Mutex
	bodies bytes.Buffer
	count  int
}

// transport returns a transport that sends requests by next and records the answers.
func (r *recorder) transport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		response.Body.Close()
		response.Body = io.NopCloser(bytes.NewReader(body))
		r.mu.Lock()
		defer r.mu.Unlock()
		r.count++
		r.bodies.Write(body)
		return response, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// vault returns a client with the root token, whose answers are recorded.
func vault(t *testing.T) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	require.NoError(t, config.Error)
	config.Address = server.Client().Address()
	config.HttpClient.Transport = responses.transport(config.HttpClient.Transport)
	client, err := api.NewClient(config)
	require.NoError(t, err)
	client.SetToken(server.Client().Token())
	return client
}

// reset resets the emulators and enables the engine at a new path until the test ends.
func reset(t *testing.T) (client *api.Client, mountPath string) {
	t.Helper()
	require.NoError(t, server.Control().Reset(t.Context()))
	client = vault(t)
	mountPath = fmt.Sprintf("e2e-%d", time.Now().UnixNano())
	require.NoError(t, client.Sys().MountWithContext(t.Context(), mountPath, &api.MountInput{Type: devserver.PluginName}))
	t.Cleanup(func() {
		require.NoError(t, server.Control().Reset(context.Background()))
		require.NoError(t, client.Sys().UnmountWithContext(context.Background(), mountPath))
	})
	return client, mountPath
}

// configFields returns the fields of a vendor's config, as an operator writes them.
func configFields(t *testing.T, vendor string) map[string]any {
	t.Helper()
	return configFieldsOn(t, server, vendor)
}

// configFieldsOn is configFields for the emulators of another server.
func configFieldsOn(t *testing.T, s *devserver.Server, vendor string) map[string]any {
	t.Helper()
	fields, err := s.Emulator().ConfigFields(vendor)
	require.NoError(t, err)
	return fields
}

// write is `vault write`, which must succeed.
func write(t *testing.T, client *api.Client, path string, data map[string]any) *api.Secret {
	t.Helper()
	secret, err := client.Logical().WriteWithContext(t.Context(), path, data)
	require.NoError(t, err)
	return secret
}

// read is `vault read`, which must succeed.
func read(t *testing.T, client *api.Client, path string) *api.Secret {
	t.Helper()
	secret, err := client.Logical().ReadWithContext(t.Context(), path)
	require.NoError(t, err)
	require.NotNil(t, secret)
	return secret
}

// revokeLease revokes a lease and waits for that. It repeats the request, as Vault does, while the vendor or the rate limit of
// the config takes longer than a request waits.
func revokeLease(t *testing.T, client *api.Client, leaseID string) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		err = client.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: leaseID, Sync: true})
		return err == nil || !strings.Contains(err.Error(), "has not confirmed the revocation yet")
	}, time.Minute, 200*time.Millisecond)
	require.NoError(t, err, leaseID)
}

// live counts a vendor's live credentials of one kind.
func live(t *testing.T, vendor, kind string) int {
	t.Helper()
	credentials, err := server.Control().Credentials(t.Context(), vendor)
	require.NoError(t, err)
	count := 0
	for _, credential := range credentials {
		if credential.Live && credential.Kind == kind {
			count++
		}
	}
	return count
}

// operations counts a vendor's requests of one operation.
func operations(t *testing.T, vendor, operation string) int {
	t.Helper()
	requests, err := server.Control().Requests(t.Context(), vendor)
	require.NoError(t, err)
	count := 0
	for _, request := range requests {
		if request.Operation == operation {
			count++
		}
	}
	return count
}
