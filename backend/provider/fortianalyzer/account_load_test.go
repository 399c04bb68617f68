package fortianalyzer

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// FortiCloud locks an account that logs in often out, for all its client ids. So a password is sent once for many readers,
// checks and revocations, also of sessions that have ended, and by several configs.
func TestAccount_HundredsOfOperations_SendOnePassword(t *testing.T) {
	const each = 100
	c := newCloud(t, "login_max", "0", "lockout_threshold", "1", "lockout_counts", "all")
	configs := []*connection{c.openAs("first"), c.openAs("second")}
	handles := make([]json.RawMessage, each)
	all := func(operation func(conn *connection, i int) error) {
		t.Helper()
		var group errgroup.Group
		for i := range each {
			group.Go(func() error { return operation(configs[i%2], i) })
		}
		require.NoError(t, group.Wait())
	}
	all(func(conn *connection, i int) error {
		credential, err := conn.Issue(t.Context(), issueRequest)
		if err == nil {
			handles[i] = credential.Handle
		}
		return err
	})
	require.Equal(t, each, c.sessions())
	all(func(conn *connection, _ int) error { _, err := conn.Check(t.Context()); return err })
	c.Clock.Advance(20 * time.Minute) // beyond the idle timeout
	require.Zero(t, c.sessions())
	all(func(conn *connection, i int) error { return conn.Revoke(t.Context(), handles[i]) })
	all(func(conn *connection, i int) error {
		_, err := conn.Renew(t.Context(), handles[i], time.Minute)
		if provider.ClassOf(err) == provider.ClassNotFound {
			return nil
		}
		return err
	})
	c.requireGrants(1, 0)
}
