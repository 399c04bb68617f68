package trend_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// search is the operation that searches for keys.
const search = "searchApiKeys"

// named issues a key of a name.
func named(t *testing.T, conn provider.Connection, name string) *provider.Credential {
	t.Helper()
	request := hour(nil)
	request.Marker = name
	credential, err := conn.Issue(t.Context(), request)
	require.NoError(t, err)
	return credential
}

// markersOf are the markers of what was found, sorted.
func markersOf(found []provider.Listed) []string {
	var markers []string
	for _, each := range found {
		markers = append(markers, each.Marker)
	}
	slices.Sort(markers)
	return markers
}

func TestFind_WildcardsAndCaseListNobodyElse(t *testing.T) {
	for _, searchCase := range []string{"insensitive", "sensitive"} {
		m := newManager(t, "search_case", searchCase)
		conn := m.open(m.rootKey())
		for _, name := range []string{"vault-ab-1", "VAULT-ab-2", "vault_ab_3", "vault-abc", "my vault-ab-4", "vault-a"} {
			named(t, conn, name)
		}
		found, err := conn.List(t.Context(), "vault-ab-")
		require.NoError(t, err)
		assert.Equal(t, []string{"vault-ab-1"}, markersOf(found))
		assert.Equal(t, m.Clock.Now().Add(time.Hour), found[0].ExpiresAt)
	}
}

func TestFind_ReadsPagesUntilOneIsEmpty(t *testing.T) {
	for most, searches := range map[string]int{"0": 2, "1": 6, "2": 4, "5": 2, "100": 2} {
		m := newManager(t, "search_maximum", most)
		conn := m.open(m.rootKey())
		var want []string
		for i := range 5 {
			want = append(want, fmt.Sprintf("vault-ab-%d", i))
			named(t, conn, want[i])
		}
		before := len(m.answered())
		found, err := conn.List(t.Context(), "vault-ab-")
		require.NoError(t, err)
		assert.Equal(t, want, markersOf(found), "at most %s a page", most)
		asked := slices.DeleteFunc(m.answered()[before:], func(operation string) bool { return operation != search+" 200" })
		assert.Len(t, asked, searches)
	}
}

// Whoever removes what nobody owns would remove the key that it is done with.
func TestFind_ManagementKeyIsNotListed(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.login(nil))
	made, err := conn.Bootstrap(t.Context(), "vault-ab-config-dsm-1")
	require.NoError(t, err)
	conn = m.open(made.Fields)
	named(t, conn, "vault-ab-reader-1")
	found, err := conn.List(t.Context(), "vault-ab-")
	require.NoError(t, err)
	assert.Equal(t, []string{"vault-ab-reader-1"}, markersOf(found))
}

func TestFind_ExpiredKeysThatAreStillListed(t *testing.T) {
	for kept, want := range map[string]int{"kept": 1, "purged": 0} {
		m := newManager(t, "expired_keys", kept)
		conn := m.open(m.rootKey())
		credential := m.issue(conn)
		m.Clock.Advance(2 * time.Hour)
		found, err := conn.List(t.Context(), "vault-")
		require.NoError(t, err)
		require.Len(t, found, want)
		if want > 0 {
			assert.Equal(t, credential.ExpiresAt, found[0].ExpiresAt)
			require.NoError(t, conn.RevokeMarker(t.Context(), found[0].Marker))
		}
	}
}

func TestFind_KeyWithoutAnExpiry(t *testing.T) {
	m := newManager(t, "expiry_precision", "nothing")
	conn := m.open(m.rootKey())
	m.issue(conn)
	found, err := conn.List(t.Context(), "vault-")
	require.NoError(t, err)
	assert.Equal(t, []provider.Listed{{Marker: marker}}, found)
}

// A manager that does not page as asked must not be asked for ever, nor be believed to have listed all.
func TestFind_AnswerThatIsNotThePageThatWasAskedFor(t *testing.T) {
	for name, body := range map[string]string{
		"the same page again": `{"apiKeys":[{"ID":1,"keyName":"vault-a"},{"ID":2,"keyName":"vault-b"}]}`,
		"not in order":        `{"apiKeys":[{"ID":2,"keyName":"vault-b"},{"ID":1,"keyName":"vault-a"}]}`,
		"no ID":               `{"apiKeys":[{"keyName":"vault-a"}]}`,
		"no JSON":             `<html>`,
		"a list":              `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			m.InjectFault(emulator.Fault{Route: search, Body: &body})
			_, err := m.open(m.rootKey()).List(t.Context(), "vault-")
			require.Equal(t, provider.ClassUnavailable, refusal(t, err).Class)
		})
	}
}

func TestFind_MissingRightIsNamed(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootKey())
	m.InjectFault(emulator.Fault{Route: search, Status: http.StatusForbidden})
	_, err := conn.List(t.Context(), "vault-")
	failure := refusal(t, err)
	assert.Equal(t, provider.ClassForbidden, failure.Class)
	assert.Contains(t, failure.Remedy, "canViewApiKeys")
}

func TestFind_BeforeTheBootstrap_IsRefusedHere(t *testing.T) {
	m := newManager(t)
	_, err := m.open(m.login(nil)).List(t.Context(), "vault-")
	assert.Equal(t, provider.ClassInvalid, refusal(t, err).Class)
	assert.Empty(t, m.answered())
}

// brokenWriter is a log with a programming error.
type brokenWriter struct{}

// Write implements io.Writer.
func (brokenWriter) Write([]byte) (int, error) { panic("index out of range") }

// The first request of a connection is made in a goroutine, where a panic would end the process.
func TestPanicInTheFirstRequest_IsAnError(t *testing.T) {
	m := newManager(t)
	config := m.Config(trend.New(), nil)
	config.Logger = hclog.New(&hclog.LoggerOptions{Output: brokenWriter{}, Level: hclog.Trace})
	opened, err := trend.New().Open(config)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	_, err = opened.Issue(t.Context(), hour(nil))
	failure := refusal(t, err)
	assert.Equal(t, provider.ClassAmbiguous, failure.Class)
	assert.NotContains(t, failure.Error(), "index out of range")
	var reason *provider.PanicError
	require.ErrorAs(t, err, &reason)
}
