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

// lifetime is what credentials are asked for in the suite. It is longer than the management logins of the
// vendors that have any.
const lifetime = 3 * time.Hour

// env is what one test has: the twin, a clock that drives both sides, a session store, and a watch on
// secrets, which at the test's end have not appeared in any error or log line.
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
		Instance: &Instance{emulatortest.Use(t, running, suite.Twin.Name), clock},
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

// config is a configuration that works, with the given vendor fields on top.
func (e *env) config(changes map[string]any) provider.Config {
	config := e.Config(e.provider, changes)
	config.Sessions = e.sessions
	config.Logger = hclog.New(&hclog.LoggerOptions{Output: e.log, Level: hclog.Trace})
	config.UserAgent = "vendorauth-test/1"
	return config
}

// open returns a connection that is abandoned at the test's end.
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

// request asks for a credential with a marker of its own.
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

// tryIssue issues one credential, and watches over what comes back.
func (e *env) tryIssue(connection provider.Connection, request provider.IssueRequest) (*provider.Credential, error) {
	credential, err := connection.Issue(e.t.Context(), request)
	e.checkErr(err)
	if err == nil {
		e.addSecret(credential.Token)
	}
	return credential, err
}

// issue issues one credential that works.
func (e *env) issue(connection provider.Connection) *provider.Credential {
	e.t.Helper()
	credential, err := e.tryIssue(connection, e.request())
	require.NoError(e.t, err)
	require.True(e.t, e.works(credential), "a fresh credential works")
	return credential
}

// works uses the credential.
func (e *env) works(credential *provider.Credential) bool {
	e.t.Helper()
	works, err := e.suite.Use(e.t.Context(), e.Client, credential)
	require.NoError(e.t, err)
	return works
}

// renew renews and watches over the error.
func (e *env) renew(connection provider.Connection, handle json.RawMessage) (time.Time, error) {
	end, err := connection.(provider.Renewer).Renew(e.t.Context(), handle, lifetime)
	return end, e.checkErr(err)
}

// revoke revokes and watches over the error.
func (e *env) revoke(connection provider.Connection, handle json.RawMessage) error {
	return e.checkErr(connection.(provider.Revoker).Revoke(e.t.Context(), handle))
}

// revokeMarker revokes by marker and watches over the error.
func (e *env) revokeMarker(connection provider.Connection, marker string) error {
	return e.checkErr(connection.(provider.MarkerRevoker).RevokeMarker(e.t.Context(), marker))
}

// list finds and watches over the error.
func (e *env) list(connection provider.Connection, prefix string) ([]provider.Listed, error) {
	found, err := connection.(provider.Lister).List(e.t.Context(), prefix)
	return found, e.checkErr(err)
}

// cleanup takes back what a test has made, so that it does not count against the vendor's limits: the credential
// where it can be revoked, and the connection with its login.
func (e *env) cleanup(connection provider.Connection, credential *provider.Credential) {
	e.t.Helper()
	if e.provider.Capabilities().Revokes {
		require.NoError(e.t, e.revoke(connection, credential.Handle))
	}
	require.NoError(e.t, e.checkErr(connection.Logout(e.t.Context())))
}

// addSecret adds to what must not appear.
func (e *env) addSecret(text string) {
	if text == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.secrets = append(e.secrets, text)
}

// checkErr adds an error to where no secret may appear, and returns it.
func (e *env) checkErr(err error) error {
	if err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.texts = append(e.texts, err.Error())
	}
	return err
}

// checkSecrecy looks for each secret in each error and in the log.
func (e *env) checkSecrecy() {
	// The tokens of the connection's own login are secrets too; they are in the session store.
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
				assert.NotContains(e.t, text, form, "an error or log line holds a secret")
			}
		}
	}
}

// lockedBuffer is a log output for several goroutines.
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

// String returns what was written.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// cancelled returns a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
