package lease

import (
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
)

// How long the engine waits. A build with failpoints waits for a short time.
var (
	// IssueDeadline is longer than any request of Vault lasts (90 seconds). No request works on an intent that
	// is older.
	IssueDeadline = failpoint.Wait(2*time.Minute, 2*time.Second)

	// MinRetryPause and MaxRetryPause bound the growing pause between two attempts to revoke.
	MinRetryPause = failpoint.Wait(time.Minute, 500*time.Millisecond)
	MaxRetryPause = failpoint.Wait(10*time.Minute, 2*time.Second)

	// LostLeaseGrace is how long after its end a lease may still be revoked by Vault itself, which gives up
	// after about ten minutes.
	LostLeaseGrace = failpoint.Wait(15*time.Minute, 3*time.Second)

	// ExpiryGrace is how long after a credential's expiry its ledger entry is kept, since clocks differ.
	ExpiryGrace = failpoint.Wait(time.Minute, 20*time.Second)
)
