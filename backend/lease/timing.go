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

	// MinSearchPause and MaxSearchPause bound the growing pause between two searches for a marker.
	MinSearchPause = failpoint.Wait(time.Minute, 500*time.Millisecond)
	MaxSearchPause = failpoint.Wait(time.Hour, 2*time.Second)

	// SlotSearch is how long after its intent a credential that is not found keeps its slot. By then the
	// vendor has either finished an ordinary request, or it works on it for so long that the slot is worth
	// more than the certainty. The search goes on without the slot.
	SlotSearch = failpoint.Wait(3*time.Minute, 2*time.Second)

	// MinSearch and MaxSearch bound for how long after its intent a marker is searched; see searchUntil.
	MinSearch = failpoint.Wait(time.Hour, 15*time.Second)
	MaxSearch = failpoint.Wait(24*time.Hour, 45*time.Second)

	// ClockSettle is for how long the wall clock must have moved evenly before an entry is judged by its age
	// alone. A clock that was wrong at boot is usually set right within minutes.
	ClockSettle = failpoint.Wait(5*time.Minute, time.Second)
)
