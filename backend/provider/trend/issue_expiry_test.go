package trend_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_ManagerKeepsTheDayOnly(t *testing.T) {
	m := newManager(t, "expiry_precision", "day_start") // 2 January 2026, 03:04:05
	conn := m.open(m.rootKey())
	_, err := conn.Issue(t.Context(), hour(nil))
	failure := refusal(t, err)
	assert.Equal(t, provider.ClassInvalid, failure.Class)
	assert.Contains(t, failure.Remedy, "more than a day")
	assert.Equal(t, "deleteApiKey 204", m.answered()[len(m.answered())-1])

	request := hour(nil)
	request.Lifetime = 48 * time.Hour
	credential, err := conn.Issue(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, *m.LastIssued(emulator.KindLeased).ExpiresAt, credential.ExpiresAt.Add(time.Second), "a second before midnight: Date has no fractions")
	require.Len(t, credential.Warnings, 1)
	assert.Contains(t, credential.Warnings[0], "earlier than was asked")
}

func TestIssue_ManagerKeepsTheEndOfTheDay(t *testing.T) {
	m := newManager(t, "expiry_precision", "day_end")
	credential := m.issue(m.open(m.rootKey()))
	assert.Equal(t, m.LastIssued(emulator.KindLeased).ExpiresAt.Add(-time.Second), credential.ExpiresAt, "what the manager does is told, not what was asked")
	assert.Empty(t, credential.Warnings)
}

func TestIssue_ManagerKeepsNoExpiry(t *testing.T) {
	m := newManager(t, "expiry_precision", "nothing")
	conn := m.open(m.rootKey())
	credential := m.issue(conn)
	assert.Equal(t, m.Clock.Now().Add(time.Hour), credential.ExpiresAt)
	require.Len(t, credential.Warnings, 1)
	assert.Contains(t, credential.Warnings[0], "not by itself")
	assert.Nil(t, m.LastIssued(emulator.KindLeased).ExpiresAt)

	end, err := conn.Renew(t.Context(), credential.Handle, 2*time.Hour)
	require.NoError(t, err)
	assert.Equal(t, m.Clock.Now().Add(2*time.Hour), end)
}

func TestIssue_ExpiryIsReadBackWhereTheAnswerOmitsIt(t *testing.T) {
	m := newManager(t, "expiry_in_answer", "no")
	credential := m.issue(m.open(m.rootKey()))
	assert.Empty(t, credential.Warnings)
	assert.Equal(t, "describeApiKey 200", m.answered()[2])
}

func TestIssue_ExpiryThatCannotBeReadBack_IsAWarning(t *testing.T) {
	m := newManager(t, "expiry_in_answer", "no")
	lacks("canViewApiKeys")(m)
	credential := m.issue(m.open(m.rootKey()))
	require.Len(t, credential.Warnings, 1)
	assert.Contains(t, credential.Warnings[0], "could not be read")
}

func TestIssue_MadeExpiredAndPurgedAlready_IsRefused(t *testing.T) {
	m := newManager(t, "expiry_precision", "day_start", "expiry_in_answer", "no", "expired_keys", "purged")
	_, err := m.open(m.rootKey()).Issue(t.Context(), hour(nil))
	assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%v", err)
}

func TestIssue_MadeExpiredAndNoWayToDelete_IsAmbiguous(t *testing.T) {
	m := newManager(t, "expiry_precision", "day_start")
	m.InjectFault(emulator.Fault{Route: "deleteApiKey", DropBefore: true})
	_, err := m.open(m.rootKey()).Issue(t.Context(), hour(nil))
	assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
}
