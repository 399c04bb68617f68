package providertest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// lifetime is the requested lifetime of the suite's credentials. It is longer than the lifetime of the vendors' logins.
const lifetime = 3 * time.Hour

// env is the environment of one test: the emulator, a clock for driver and emulator, a session store, and the known
// secrets. At the end of the test, no error and no log line may contain a secret.
type env struct {
	*Instance
	t        *testing.T
	suite    *Suite
	variant  Variant
	provider provider.Provider
	sessions *Sessions
	log      *lockedBuffer

	mu      sync.Mutex
	markers int
	secrets []string
	texts   []string
}

func newEnv(t *testing.T, suite *Suite, variant Variant, running *emulator.Server, clock *Clock) *env {
	e := &env{
		Instance: &Instance{emulatortest.Use(t, running, suite.Emulator.Name), clock},
		t:        t, suite: suite, variant: variant, provider: suite.New(), sessions: &Sessions{}, log: &lockedBuffer{},
	}
	for name, value := range variant.Switches {
		e.Set(name, value)
	}
	for name, schema := range e.provider.ConfigFields() {
		if schema.DisplayAttrs != nil && schema.DisplayAttrs.Sensitive {
			e.addSecret(e.Root()[name])
		}
	}
	t.Cleanup(e.checkSecrecy)
	return e
}

func (e *env) vendor() string { return e.provider.Name() }

// config returns a valid configuration with changes to the vendor's own fields.
func (e *env) config(changes map[string]any) provider.Config {
	config := e.Config(e.provider, changes)
	config.Sessions = e.sessions
	config.Shared = func(string) provider.SessionStore { return e.sessions }
	config.Logger = hclog.New(&hclog.LoggerOptions{Output: e.log, Level: hclog.Trace})
	config.UserAgent = "vendorauth-test/1"
	return config
}

// open returns a connection that is closed at the end of the test.
func (e *env) open(change ...func(*provider.Config)) provider.Connection {
	e.t.Helper()
	config := e.config(nil)
	for _, apply := range change {
		apply(&config)
	}
	connection, err := e.provider.Open(config)
	require.NoError(e.t, err)
	e.t.Cleanup(connection.Close)
	return connection
}

// request returns a request for a credential with a unique marker.
func (e *env) request() provider.IssueRequest {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.markers++
	return provider.IssueRequest{
		Marker:      fmt.Sprintf("va-edge-reader-%032x", e.markers),
		Lifetime:    lifetime,
		Description: "conformance suite",
		Role:        &framework.FieldData{Raw: e.suite.Role, Schema: e.provider.RoleFields()},
	}
}

// tryIssue issues one credential, and records its token and the error for the search for secrets.
func (e *env) tryIssue(connection provider.Connection, request provider.IssueRequest) (*provider.Credential, error) {
	credential, err := connection.Issue(e.t.Context(), request)
	_ = e.checkErr(err)
	if err == nil {
		e.addSecret(credential.Token)
	}
	return credential, err
}

// issue issues one credential and requires that it works.
func (e *env) issue(connection provider.Connection) *provider.Credential {
	e.t.Helper()
	credential, err := e.tryIssue(connection, e.request())
	require.NoError(e.t, err)
	require.True(e.t, e.works(credential), "a new credential works")
	return credential
}

// works reports whether the vendor accepts the credential.
func (e *env) works(credential *provider.Credential) bool {
	e.t.Helper()
	works, err := e.suite.Use(e.t.Context(), e.Client, credential)
	require.NoError(e.t, err)
	return works
}

// renew calls Renew and records the error.
func (e *env) renew(connection provider.Connection, handle json.RawMessage) (time.Time, error) {
	end, err := connection.(provider.Renewer).Renew(e.t.Context(), handle, lifetime)
	return end, e.checkErr(err)
}

// revoke calls Revoke and records the error.
func (e *env) revoke(connection provider.Connection, handle json.RawMessage) error {
	return e.checkErr(connection.(provider.Revoker).Revoke(e.t.Context(), handle))
}

// revokeMarker calls RevokeMarker and records the error.
func (e *env) revokeMarker(connection provider.Connection, marker string) error {
	_, err := connection.(provider.MarkerRevoker).RevokeMarker(e.t.Context(), marker)
	return e.checkErr(err)
}

// list calls List and records the error.
func (e *env) list(connection provider.Connection, prefix string) ([]provider.Listed, error) {
	found, err := connection.(provider.Lister).List(e.t.Context(), prefix)
	return found, e.checkErr(err)
}

// cleanup ends a credential, if the vendor can revoke it, and the connection with its login, so that they do not count
// against the vendor's limits.
func (e *env) cleanup(connection provider.Connection, credential *provider.Credential) {
	e.t.Helper()
	if e.provider.Capabilities().Revokes {
		require.NoError(e.t, e.revoke(connection, credential.Handle))
	}
	require.NoError(e.t, e.checkErr(connection.Logout(e.t.Context())))
}

// addSecret adds a secret that no error or log line may contain.
func (e *env) addSecret(text string) {
	if text == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.secrets = append(e.secrets, text)
}

// checkErr records an error for the search for secrets, and returns it.
func (e *env) checkErr(err error) error {
	if err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.texts = append(e.texts, err.Error())
	}
	return err
}

// checkSecrecy requires that no recorded error and no log line contains a secret.
func (e *env) checkSecrecy() {
	// The tokens of the connection's own login are secrets too. They are in the session store.
	var stored map[string]any
	if json.Unmarshal(e.sessions.Saved(), &stored) == nil {
		for name, value := range stored {
			if text, ok := value.(string); ok && strings.Contains(name, "token") {
				e.addSecret(text)
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, text := range append(e.texts, e.log.String()) {
		for _, secret := range e.secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
				assert.NotContains(e.t, text, form, "an error or log line contains a secret")
			}
		}
	}
}

// lockedBuffer is a log output that is safe for concurrent use.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(content []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(content)
}

// String returns the written text.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// canceled returns a canceled context.
func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
