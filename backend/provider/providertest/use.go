package providertest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// maxInspectedText is the longest value that Inspect returns, in bytes: a report shows it in a cell of a table.
const maxInspectedText = 100

// inspector returns a test of a statement about Inspector.
func inspector(name string, run func(t *testing.T, e *env)) test {
	return test{name: name, run: func(t *testing.T, e *env) {
		if _, inspects := e.open().(provider.Inspector); !inspects {
			t.Skip("the driver reads no more about a credential")
		}
		run(t, e)
	}}
}

// use calls Use and requires that its verdict is that of an application, which the table of vendor facts describes: the
// two share no code.
func (e *env) use(connection provider.Connection, credential *provider.Credential) bool {
	e.t.Helper()
	accepted, err := connection.(provider.User).Use(e.t.Context(), credential)
	require.NoError(e.t, e.checkErr(err))
	require.Equal(e.t, e.works(credential), accepted, "Use and an application see the same")
	return accepted
}

// useTests prove the statements about Prober, User and Inspector. The facts themselves are proved by the tests of package
// backend, which set each switch of the emulators.
var useTests = []test{
	{name: "Prober_EveryVendor_CanBeProbed", once: true, run: func(t *testing.T, e *env) {
		assert.Implements(t, (*provider.Prober)(nil), e.provider)
		assert.Implements(t, (*provider.User)(nil), e.open(), "the connections of a Prober use credentials")
	}},
	{name: "Use_LiveCredential_IsAccepted", run: func(t *testing.T, e *env) {
		connection := e.open()
		assert.True(t, e.use(connection, e.issue(connection)))
	}},
	{name: "Use_RevokedCredential_IsNotAccepted", needs: needsRevoker, run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		require.NoError(t, e.revoke(connection, credential.Handle))
		assert.False(t, e.use(connection, credential))
	}},
	{name: "Use_ExpiredCredential_IsNotAccepted", run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		expires := e.LastIssued(emulator.KindLeased).ExpiresAt
		require.NotNil(t, expires)
		e.Clock.Set(expires.Add(lifetime))
		assert.False(t, e.use(connection, credential))
	}},
	{name: "Use_Repeated_ChangesNothing", run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		before := len(e.Issued())
		for range 3 {
			require.True(t, e.use(connection, credential))
		}
		assert.Len(t, e.Issued(), before, "no login and no credential is created")
		assert.Equal(t, 1, e.Live(emulator.KindLeased))
	}},
	{name: "Use_VendorFails_SaysNothingOfTheCredential", run: func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		for name, fault := range map[string]emulator.Fault{
			"500":     {Status: http.StatusInternalServerError},
			"503":     {Status: http.StatusServiceUnavailable},
			"429":     {Status: http.StatusTooManyRequests},
			"dropped": {DropBefore: true},
			"HTML":    {Body: new("<html>Log in here</html>"), Status: http.StatusBadGateway, Header: map[string]string{"Content-Type": "text/html"}},
		} {
			fault.Route = emulator.AnyRoute
			e.InjectFault(fault)
			accepted, err := connection.(provider.User).Use(t.Context(), credential)
			e.EndFaults()
			require.Error(t, e.checkErr(err), name)
			assert.False(t, accepted, name)
			assert.NotEqual(t, provider.ClassUnauthenticated, provider.ClassOf(err), "%s: the root credential was not refused", name)
		}
		_, err := connection.(provider.User).Use(canceled(t), credential)
		require.ErrorIs(t, e.checkErr(err), canceled(t).Err())
	}},
	inspector("Inspect_LiveCredential_ReturnsShortFacts", func(t *testing.T, e *env) {
		connection := e.open()
		credential := e.issue(connection)
		before := len(e.Issued())
		facts, err := connection.(provider.Inspector).Inspect(t.Context(), credential)
		_ = e.checkErr(fmt.Errorf("%v", facts)) // no value is a secret
		if e.checkErr(err) != nil {
			require.NotEqual(t, "", e.variant.Name, "the defaults describe a credential: %v", err)
		}
		for name, text := range facts {
			assert.LessOrEqual(t, len(text), maxInspectedText, name)
			assert.NotContains(t, text, credential.Token, name)
		}
		assert.Len(t, e.Issued(), before, "nothing is created")
		assert.True(t, e.works(credential), "the credential stays as it is")
	}),
	inspector("Inspect_UnknownCredential_DoesNotPanic", func(t *testing.T, e *env) {
		connection := e.open()
		e.issue(connection)
		before := e.Live(emulator.KindLeased)
		for _, unknown := range []*provider.Credential{{}, {Token: "x"}, {Token: "a.b.c", Data: map[string]any{"subject": 7, "api_key_id": "7"}}} {
			facts, err := connection.(provider.Inspector).Inspect(t.Context(), unknown)
			_ = e.checkErr(err)
			_ = e.checkErr(fmt.Errorf("%v", facts))
		}
		assert.Equal(t, before, e.Live(emulator.KindLeased))
	}),
	{name: "Answers_OfAllSteps_HoldNoSecret", run: func(t *testing.T, e *env) {
		log := &provider.AnswerLog{}
		ctx := provider.WithAnswerLog(t.Context(), log)
		connection := e.open()
		_, err := connection.Check(ctx)
		require.NoError(t, e.checkErr(err))
		credential, err := connection.Issue(ctx, e.request())
		require.NoError(t, e.checkErr(err))
		e.addSecret(credential.Token)
		_, err = connection.(provider.User).Use(ctx, credential)
		require.NoError(t, e.checkErr(err))
		if inspects, ok := connection.(provider.Inspector); ok {
			_, err := inspects.Inspect(ctx, credential)
			_ = e.checkErr(err)
		}
		if e.provider.Capabilities().Revokes {
			require.NoError(t, e.checkErr(connection.(provider.Revoker).Revoke(ctx, credential.Handle)))
		}
		require.NotEmpty(t, log.Answers(), "each request of the context is described")
		for _, answer := range log.Answers() {
			assert.Contains(t, answer.Op, e.provider.Name()+": ")
			assert.NotContains(t, answer.String(), strings.TrimPrefix(e.Address(), "https://"), "the address")
			_ = e.checkErr(fmt.Errorf("%s", answer)) // checkSecrecy looks for the tokens and the root credential
		}
	}},
}
