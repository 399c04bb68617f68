package trend_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_ExpiryRoundedDown_IsReported(t *testing.T) {
	m := newManager(t, "expiry_precision", "day_start") // 2 January 2026, 03:04:05
	conn := m.open(m.rootFields())
	_, err := conn.Issue(t.Context(), hourRequest(nil))
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassAmbiguous, failure.Class, "a key was created")
	assert.Contains(t, failure.Message, "the key was deleted")
	assert.Contains(t, failure.Remedy, "more than one day")
	assert.Equal(t, "deleteApiKey 204", m.operations()[len(m.operations())-1])

	request := hourRequest(nil)
	request.Lifetime = 48 * time.Hour
	credential, err := conn.Issue(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, *m.LastIssued(emulator.KindLeased).ExpiresAt, credential.ExpiresAt.Add(time.Second), "one second before midnight, since the Date header has no fractions")
	require.Len(t, credential.Warnings, 1)
	assert.Contains(t, credential.Warnings[0], "earlier than requested")
}

func TestIssue_ExpiryRoundedUp_IsReturned(t *testing.T) {
	m := newManager(t, "expiry_precision", "day_end")
	credential := m.issue(m.open(m.rootFields()))
	assert.Equal(t, m.LastIssued(emulator.KindLeased).ExpiresAt.Add(-time.Second), credential.ExpiresAt, "the stored expiry is returned, not the requested one")
	assert.Empty(t, credential.Warnings)
}

func TestIssue_ExpiryNotStored_Warns(t *testing.T) {
	m := newManager(t, "expiry_precision", "nothing")
	conn := m.open(m.rootFields())
	credential := m.issue(conn)
	assert.Equal(t, m.Clock.Now().Add(time.Hour), credential.ExpiresAt)
	require.Len(t, credential.Warnings, 1)
	assert.Contains(t, credential.Warnings[0], "does not expire on its own")
	assert.Nil(t, m.LastIssued(emulator.KindLeased).ExpiresAt)

	end, err := conn.Renew(t.Context(), credential.Handle, 2*time.Hour)
	require.NoError(t, err)
	assert.Equal(t, m.Clock.Now().Add(2*time.Hour), end)
}

func TestIssue_ResponseWithoutExpiry_ReadsTheKey(t *testing.T) {
	m := newManager(t, "expiry_in_answer", "no")
	credential := m.issue(m.open(m.rootFields()))
	assert.Empty(t, credential.Warnings)
	assert.Equal(t, "describeApiKey 200", m.operations()[2])
}

func TestIssue_ExpiryUnreadable_Warns(t *testing.T) {
	m := newManager(t, "expiry_in_answer", "no")
	withoutRight("canViewApiKeys")(m)
	credential := m.issue(m.open(m.rootFields()))
	require.Len(t, credential.Warnings, 1)
	assert.Contains(t, credential.Warnings[0], "could not be read")
}

func TestIssue_CreatedExpiredAndPurged_IsAmbiguous(t *testing.T) {
	m := newManager(t, "expiry_precision", "day_start", "expiry_in_answer", "no", "expired_keys", "purged")
	_, err := m.open(m.rootFields()).Issue(t.Context(), hourRequest(nil))
	assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
	assert.ErrorContains(t, err, "the key was deleted")
}

func TestIssue_CreatedExpiredNotDeleted_IsAmbiguous(t *testing.T) {
	m := newManager(t, "expiry_precision", "day_start")
	m.InjectFault(emulator.Fault{Route: "deleteApiKey", DropBefore: true})
	_, err := m.open(m.rootFields()).Issue(t.Context(), hourRequest(nil))
	assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
	assert.ErrorContains(t, err, "the key could not be deleted")
}
