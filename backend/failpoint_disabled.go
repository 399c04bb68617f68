//go:build !failpoints

package backend

import "time"

// The waits of a plugin that serves people; failpoint_enabled.go has those of the fault tests.
const (
	// issueDeadline is longer than any request of Vault's lasts (90 seconds). An intent that is older
	// belongs to no request any more.
	issueDeadline = 2 * time.Minute

	// firstRetry and lastRetry bound the growing pause between two attempts to revoke.
	firstRetry = time.Minute
	lastRetry  = 10 * time.Minute

	// lostLeaseGrace is how long after its end a lease may still be revoked by Vault itself, which
	// gives up after about ten minutes.
	lostLeaseGrace = 15 * time.Minute

	// expiryGrace is how long after a credential's expiry its account is kept: clocks differ.
	expiryGrace = time.Minute
)

// failpoint marks a step at which the fault tests kill the process. Here it is nothing.
func failpoint(string) {}
