package providertest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// rotator returns a test of a statement about RootRotator.
func rotator(name string, once bool, run func(t *testing.T, e *env)) test {
	return test{name: name, once: once, run: run, needs: func(_ *Suite, c provider.Capabilities) bool { return c.RotatesRoot }}
}

// password returns a password for a proposal. Like a password of the engine without a policy, it is long, has four kinds
// of characters, and is different each time.
func (e *env) password(string) (string, error) {
	e.mu.Lock()
	e.markers++
	made := fmt.Sprintf("A1a-%x", sha256.Sum256(fmt.Appendf(nil, "password %d", e.markers)))[:32]
	e.mu.Unlock()
	e.addSecret(made)
	return made, nil
}

// changes returns the number of requests that replace the root credential.
func (e *env) changes() int {
	route := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(e.suite.RotateRoute), `\*`, ".*") + "$")
	count := 0
	for _, request := range e.Requests(e.vendor()) {
		if route.MatchString(request.Operation) || route.MatchString(request.Method+" "+request.Path) {
			count++
		}
	}
	return count
}

// rotation is one attempt to replace the root credential.
type rotation struct {
	marker   string
	proposed map[string]any
	rotated  *provider.RotatedRoot
	changes  int // number of requests that replace the root credential
	err      error
}

// rotate calls ProposeRoot and RotateRoot, and records their secrets and errors.
func (e *env) rotate(ctx context.Context, connection provider.Connection) rotation {
	e.t.Helper()
	driver := connection.(provider.RootRotator)
	proposed, err := driver.ProposeRoot(e.password)
	require.NoError(e.t, e.checkErr(err))
	e.secretFields(proposed)
	before := e.changes()
	attempt := rotation{marker: e.request().Marker, proposed: proposed}
	attempt.rotated, attempt.err = driver.RotateRoot(ctx, attempt.marker, maps.Clone(proposed))
	attempt.changes = e.changes() - before
	if e.checkErr(attempt.err) == nil {
		e.secretFields(attempt.rotated.Fields)
		_ = e.checkErr(errors.Join(errorTexts(attempt.rotated.Warnings)...))
	}
	return attempt
}

// rotated replaces the root credential, and requires what must hold for every rotation.
func (e *env) rotated(connection provider.Connection) *provider.RotatedRoot {
	e.t.Helper()
	attempt := e.rotate(e.t.Context(), connection)
	require.NoError(e.t, attempt.err)
	require.Equal(e.t, 1, attempt.changes, "the change is sent once")
	require.NotEmpty(e.t, attempt.rotated.Fields)
	for name := range attempt.rotated.Fields {
		require.Contains(e.t, e.provider.ConfigFields(), name)
	}
	for name, value := range attempt.proposed {
		require.Equal(e.t, value, attempt.rotated.Fields[name], "field %s has its proposed value", name)
	}
	require.Equal(e.t, attempt.rotated.Previous == nil, attempt.rotated.Undo == nil, "either both root credentials exist now and Undo ends the new one, or the new one has replaced the previous one")
	return attempt.rotated
}

// openWith returns a connection with changes to the config fields. It has its own session store, because a stored login
// would work without the root credential.
func (e *env) openWith(fields map[string]any) provider.Connection {
	e.t.Helper()
	e.secretFields(fields)
	return e.open(func(config *provider.Config) {
		*config = e.config(fields)
		config.Sessions = &Sessions{}
	})
}

// logsIn checks that a root credential is active: that of the first config with the changes in fields. It ends the login
// of the check.
func (e *env) logsIn(fields map[string]any) error {
	e.t.Helper()
	connection := e.openWith(fields)
	_, err := connection.Check(e.t.Context())
	if e.checkErr(err) == nil {
		require.NoError(e.t, e.checkErr(connection.Logout(e.t.Context())))
	}
	return err
}

// requireRefused requires that a root credential is not active any more. For fields see [env.logsIn].
func (e *env) requireRefused(fields map[string]any) {
	e.t.Helper()
	err := e.logsIn(fields)
	require.Equal(e.t, e.refusedRoot(), provider.ClassOf(err), "%v", err)
}

// requireNothingLeft requires that no live credential carries the marker.
func (e *env) requireNothingLeft(marker string) {
	e.t.Helper()
	for _, credential := range e.Issued() {
		require.False(e.t, credential.Marker == marker && credential.Live, "%+v is still live", credential)
	}
}

// secretFields adds the sensitive fields to the secrets that no error or log line may contain.
func (e *env) secretFields(fields map[string]any) {
	for name, value := range fields {
		schema := e.provider.ConfigFields()[name]
		if text, ok := value.(string); ok && schema != nil && schema.DisplayAttrs != nil && schema.DisplayAttrs.Sensitive {
			e.addSecret(text)
		}
	}
}

// again resets the emulator and returns an environment for a subtest.
func (e *env) again(t *testing.T) *env {
	e.Reset()
	return newEnv(t, e.suite, e.variant, e.Server.Server, e.Clock)
}

// lostChanges are faults of the change of a root credential after which the result is unknown.
var lostChanges = map[string]emulator.Fault{
	"dropped after acting":  {DropAfter: true},
	"dropped before acting": {DropBefore: true},
	"truncated":             {Truncate: true},
	"HTML":                  {Body: new("<!DOCTYPE html><html><body>Log in here</body></html>")},
	"502":                   {Status: 502},
}

// loseChange rotates the root credential while the fault hides the result of the change. It requires that the error is
// ClassAmbiguous and that one of both root credentials works.
func (e *env) loseChange(fault emulator.Fault) {
	e.t.Helper()
	// The config allows retries, but the change must not be retried.
	connection := e.open(func(config *provider.Config) { config.MaxRetries = 3 })
	fault.Route = e.suite.RotateRoute
	e.InjectFault(fault)
	attempt := e.rotate(e.t.Context(), connection)
	e.EndFaults()
	connection.Close()
	assert.Equal(e.t, provider.ClassAmbiguous, provider.ClassOf(attempt.err), "%v", attempt.err)
	assert.Equal(e.t, 1, attempt.changes, "the change is sent once")
	if attempt.proposed == nil {
		require.NoError(e.t, e.logsIn(nil), "the present root credential is unchanged")
		require.NoError(e.t, e.revokeMarker(e.openWith(nil), attempt.marker))
		e.requireNothingLeft(attempt.marker)
		return
	}
	if err := e.logsIn(nil); err != nil {
		require.NoError(e.t, e.logsIn(attempt.proposed), "the present root credential was refused: %v", err)
	}
}

// rotateTests prove the statements about RootRotator.
var rotateTests = []test{
	rotator("ProposeRoot_MakesNoCall", true, func(t *testing.T, e *env) {
		connection := e.open()
		for range 2 {
			proposed, err := connection.(provider.RootRotator).ProposeRoot(e.password)
			require.NoError(t, e.checkErr(err))
			for name := range proposed {
				assert.Contains(t, e.provider.ConfigFields(), name)
			}
		}
		assert.Zero(t, e.Requested())
	}),
	rotator("ProposeRoot_PasswordFails_IsReturned", true, func(t *testing.T, e *env) {
		asked, refusal := false, provider.InvalidField("password_policy", "no policy of that name exists")
		_, err := e.open().(provider.RootRotator).ProposeRoot(func(string) (string, error) {
			asked = true
			return "", refusal
		})
		if asked {
			require.ErrorIs(t, e.checkErr(err), refusal)
		}
	}),
	rotator("RotateRoot_NewRootWorks_PreviousCanBeRevoked", false, func(t *testing.T, e *env) {
		connection := e.open()
		rotated := e.rotated(connection)
		connection.Close()
		require.NoError(t, e.logsIn(rotated.Fields))
		successor := e.openWith(rotated.Fields)
		if rotated.Previous != nil {
			require.NoError(t, e.logsIn(nil), "the previous root credential works until it is revoked")
			require.NoError(t, e.revoke(successor, rotated.Previous))
			require.NoError(t, e.revoke(successor, rotated.Previous), "a repeated call succeeds")
		}
		e.requireRefused(nil)
		require.NoError(t, e.logsIn(rotated.Fields))
		credential := e.issue(successor)
		e.cleanup(successor, credential)
	}),
	rotator("RotateRoot_Repeated_Succeeds", true, func(t *testing.T, e *env) {
		fields := map[string]any(nil)
		for range 3 {
			connection := e.openWith(fields)
			rotated := e.rotated(connection)
			connection.Close()
			before := fields
			fields = merged(fields, rotated.Fields)
			if rotated.Previous != nil {
				require.NoError(t, e.revoke(e.openWith(fields), rotated.Previous))
			}
			e.requireRefused(before)
			require.NoError(t, e.logsIn(fields))
		}
	}),
	rotator("RotateRoot_LiveCredential_StaysValidAndRevocable", false, func(t *testing.T, e *env) {
		if e.variant.LoginOwnsCredentials {
			t.Skip("the vendor ends credentials together with their login")
		}
		connection := e.open()
		credential := e.issue(connection)
		rotated := e.rotated(connection)
		connection.Close()
		successor := e.openWith(rotated.Fields)
		if rotated.Previous != nil {
			require.NoError(t, e.revoke(successor, rotated.Previous))
		}
		if !rotated.InvalidatesCredentials {
			assert.True(t, e.works(credential))
		}
		if e.provider.Capabilities().Revokes {
			require.NoError(t, e.revoke(successor, credential.Handle), "the new root credential revokes credentials of the previous one")
			assert.False(t, e.works(credential))
		}
	}),
	rotator("RotateRoot_Undo_EndsNewRoot", false, func(t *testing.T, e *env) {
		connection := e.open()
		rotated := e.rotated(connection)
		if rotated.Undo == nil {
			t.Skip("the new root credential has replaced the previous one")
		}
		e.InjectFault(emulator.Fault{Route: emulator.AnyRoute, DropBefore: true})
		require.Error(t, e.checkErr(rotated.Undo(t.Context())))
		e.EndFaults()
		for range 2 {
			require.NoError(t, e.checkErr(rotated.Undo(t.Context())))
			e.requireRefused(rotated.Fields)
			require.NoError(t, e.logsIn(nil))
		}
	}),
	rotator("RotateRoot_LostAnswer_IsAmbiguousAndOneOfBothWorks", false, func(t *testing.T, e *env) {
		for name, fault := range lostChanges {
			t.Run(name, func(t *testing.T) { e.again(t).loseChange(fault) })
		}
	}),
	rotator("RotateRoot_ProxyAnswersAfterChange_IsAmbiguous", true, func(t *testing.T, e *env) {
		for name, fault := range proxyAnswers() {
			t.Run(name, func(t *testing.T) { e.again(t).loseChange(fault) })
		}
	}),
	rotator("RotateRoot_Refused_PresentRootStaysActive", false, func(t *testing.T, e *env) {
		for _, status := range []int{302, 400, 401, 403, 404, 409, 422, 429, 503} {
			t.Run(fmt.Sprint(status), func(t *testing.T) {
				e := e.again(t)
				connection := e.open(func(config *provider.Config) { config.MaxRetries = 3 })
				e.InjectFault(emulator.Fault{Route: e.suite.RotateRoute, Status: status})
				attempt := e.rotate(t.Context(), connection)
				e.EndFaults()
				connection.Close()
				require.Error(t, attempt.err)
				assert.True(t, provider.ClassOf(attempt.err).Definite(), "%v", attempt.err)
				assert.Equal(t, 1, attempt.changes, "the change is sent once, whatever the answer is")
				require.NoError(t, e.logsIn(nil))
				e.requireNothingLeft(attempt.marker)
			})
		}
	}),
	rotator("RotateRoot_WrongRoot_IsSentOnce", false, func(t *testing.T, e *env) {
		attempt := e.rotate(t.Context(), e.openWrong())
		assert.Equal(t, e.refusedRoot(), provider.ClassOf(attempt.err), "%v", attempt.err)
		assert.Equal(t, 1, e.rootRequests())
		assert.Zero(t, attempt.changes)
	}),
	rotator("RotateRoot_Unreachable_IsUnavailable", true, func(t *testing.T, e *env) {
		attempt := e.rotate(t.Context(), e.open(func(config *provider.Config) { config.Address = closedPort(t) }))
		assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(attempt.err), "%v", attempt.err)
	}),
	rotator("RotateRoot_CanceledContext_IsDefinite", true, func(t *testing.T, e *env) {
		attempt := e.rotate(canceled(t), e.open())
		require.ErrorIs(t, attempt.err, context.Canceled)
		assert.True(t, provider.ClassOf(attempt.err).Definite(), "the root credential was not changed: %v", attempt.err)
		assert.Zero(t, attempt.changes)
	}),
}
