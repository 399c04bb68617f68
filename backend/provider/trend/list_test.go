package trend_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// search is the operation that searches for keys.
const search = "searchApiKeys"

// issueNamed issues a key with the given name.
func issueNamed(t *testing.T, conn provider.Connection, name string) *provider.Credential {
	t.Helper()
	request := hourRequest(nil)
	request.Marker = name
	credential, err := conn.Issue(t.Context(), request)
	require.NoError(t, err)
	return credential
}

// markersOf returns the sorted markers of the listed credentials.
func markersOf(listed []provider.Listed) []string {
	var markers []string
	for _, each := range listed {
		markers = append(markers, each.Marker)
	}
	slices.Sort(markers)
	return markers
}

func TestList_SimilarNames_AreOmitted(t *testing.T) {
	for _, searchCase := range []string{"insensitive", "sensitive"} {
		m := newManager(t, "search_case", searchCase)
		conn := m.open(m.rootFields())
		for _, name := range []string{"vault-ab-1", "VAULT-ab-2", "vault_ab_3", "vault-abc", "my vault-ab-4", "vault-a"} {
			issueNamed(t, conn, name)
		}
		listed, err := conn.List(t.Context(), "vault-ab-")
		require.NoError(t, err)
		assert.Equal(t, []string{"vault-ab-1"}, markersOf(listed))
		assert.Equal(t, m.Clock.Now().Add(time.Hour), listed[0].ExpiresAt)
	}
}

func TestList_Pages_AreReadUntilOneIsEmpty(t *testing.T) {
	for most, searches := range map[string]int{"0": 2, "1": 6, "2": 4, "5": 2, "100": 2} {
		m := newManager(t, "search_maximum", most)
		conn := m.open(m.rootFields())
		var want []string
		for i := range 5 {
			want = append(want, fmt.Sprintf("vault-ab-%d", i))
			issueNamed(t, conn, want[i])
		}
		before := len(m.operations())
		listed, err := conn.List(t.Context(), "vault-ab-")
		require.NoError(t, err)
		assert.Equal(t, want, markersOf(listed), "at most %s a page", most)
		searched := slices.DeleteFunc(m.operations()[before:], func(operation string) bool { return operation != search+" 200" })
		assert.Len(t, searched, searches)
	}
}

// Otherwise the removal of orphaned credentials would delete the key that it is authenticated with.
func TestList_ManagementKey_IsOmitted(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.bootstrapFields(nil))
	bootstrapped, err := conn.Bootstrap(t.Context(), "vault-ab-config-dsm-1")
	require.NoError(t, err)
	conn = m.open(bootstrapped.Fields)
	issueNamed(t, conn, "vault-ab-reader-1")
	listed, err := conn.List(t.Context(), "vault-ab-")
	require.NoError(t, err)
	assert.Equal(t, []string{"vault-ab-reader-1"}, markersOf(listed))
}

func TestList_ExpiredKeyStillListed_IsReturned(t *testing.T) {
	for kept, want := range map[string]int{"kept": 1, "purged": 0} {
		m := newManager(t, "expired_keys", kept)
		conn := m.open(m.rootFields())
		credential := m.issue(conn)
		m.Clock.Advance(2 * time.Hour)
		listed, err := conn.List(t.Context(), "vault-")
		require.NoError(t, err)
		require.Len(t, listed, want)
		if want > 0 {
			assert.Equal(t, credential.ExpiresAt, listed[0].ExpiresAt)
			require.NoError(t, errOf(conn.RevokeMarker(t.Context(), listed[0].Marker)))
		}
	}
}

func TestList_KeyWithoutExpiry_HasNoExpiresAt(t *testing.T) {
	m := newManager(t, "expiry_precision", "nothing")
	conn := m.open(m.rootFields())
	m.issue(conn)
	listed, err := conn.List(t.Context(), "vault-")
	require.NoError(t, err)
	assert.Equal(t, []provider.Listed{{Marker: marker}}, listed)
}

// 0 and times after the year 9000 mean that a key does not expire.
func TestList_ExpiryThatIsNone_IsOmitted(t *testing.T) {
	for expiry, expires := range map[int64]bool{-1: false, 0: false, 1: true, 221_845_391_999_999: true, 221_845_392_000_000: false} {
		m := newManager(t)
		body := fmt.Sprintf(`{"apiKeys":[{"ID":2,"keyName":"vault-a","expiryDate":%d}]}`, expiry)
		empty := `{"apiKeys":[]}`
		m.InjectFault(emulator.Fault{Route: search, Body: &body, Times: 1})
		m.InjectFault(emulator.Fault{Route: search, Body: &empty})
		listed, err := m.open(m.rootFields()).List(t.Context(), "vault-")
		require.NoError(t, err)
		require.Len(t, listed, 1)
		assert.Equal(t, expires, !listed[0].ExpiresAt.IsZero(), expiry)
	}
}

// If the manager does not page as requested, List must neither send requests without end nor return an
// incomplete list.
func TestList_WrongPage_IsUnavailable(t *testing.T) {
	for name, body := range map[string]string{
		"the same page again": `{"apiKeys":[{"ID":1,"keyName":"vault-a"},{"ID":2,"keyName":"vault-b"}]}`,
		"not in order":        `{"apiKeys":[{"ID":2,"keyName":"vault-b"},{"ID":1,"keyName":"vault-a"}]}`,
		"a key twice":         `{"apiKeys":[{"ID":1,"keyName":"vault-a"},{"ID":1,"keyName":"vault-a"}]}`,
		"no ID":               `{"apiKeys":[{"keyName":"vault-a"}]}`,
		"no JSON":             `<html>`,
		"a list":              `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			m.InjectFault(emulator.Fault{Route: search, Body: &body})
			_, err := m.open(m.rootFields()).List(t.Context(), "vault-")
			require.Equal(t, provider.ClassUnavailable, providerError(t, err).Class)
			assert.LessOrEqual(t, m.Requested(search), 2, "it stops at the wrong page")
		})
	}
}

func TestList_MissingRight_IsNamed(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	m.InjectFault(emulator.Fault{Route: search, Status: http.StatusForbidden})
	_, err := conn.List(t.Context(), "vault-")
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassForbidden, failure.Class)
	assert.Contains(t, failure.Remedy, "canViewApiKeys")
}

func TestList_BeforeBootstrap_SendsNothing(t *testing.T) {
	m := newManager(t)
	_, err := m.open(m.bootstrapFields(nil)).List(t.Context(), "vault-")
	assert.Equal(t, provider.ClassInvalid, providerError(t, err).Class)
	assert.Empty(t, m.operations())
}
