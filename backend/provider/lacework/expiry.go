package lacework

import (
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// expiry returns when the token expires on this machine's clock. The result is never later than the product says, and
// never later than sentAt plus requested, even if the product grants more.
//
// The product's clock is not trusted. If the answer has a Date header, expiry adds the difference between expiresAt and
// Date to sentAt, so that only two times of the product's clock are compared. Date has whole seconds and is never ahead
// of that clock, so the difference is too large by less than a second. Truncating it removes that error, because
// lifetimes are whole seconds.
func (t *issuedToken) expiry(requested time.Duration) (time.Time, error) {
	end := t.sentAt.Add(requested)
	expiresAt, err := time.Parse(time.RFC3339, t.expiresAt)
	if err != nil {
		// The member is documented. If it is absent all the same, the requested lifetime is the best estimate.
		return end, nil
	}
	if !t.serverTime.IsZero() {
		expiresAt = t.sentAt.Add(expiresAt.Sub(t.serverTime).Truncate(time.Second))
	}
	if expiresAt.Before(end) {
		end = expiresAt
	}
	if !end.After(t.sentAt) {
		return time.Time{}, &provider.Error{
			Class: provider.ClassAmbiguous, Op: opIssue, // the token exists, and may work by the product's own clock
			Message: "the product answered with a token that has already expired",
			Remedy:  "compare the clocks of the product and of the Vault server",
		}
	}
	return end, nil
}
