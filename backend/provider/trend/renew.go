package trend

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// Renew sets the key's expiry to now plus lifetime, which can be earlier or later than before. It returns the
// expiry that the manager stored.
func (c *connection) Renew(ctx context.Context, raw json.RawMessage, lifetime time.Duration) (time.Time, error) {
	leased, err := parseHandle(raw)
	if err != nil {
		return time.Time{}, err
	}
	if err := c.checkUsable(opModify); err != nil {
		return time.Time{}, err
	}
	if err := c.handshake(ctx); err != nil {
		return time.Time{}, err
	}
	requested := c.api.clock.toServer(lifetime)
	key, err := c.api.modifyKey(ctx, leased.ID, keyChange{ExpiryDate: requested.UnixMilli()})
	switch httpclient.StatusOf(err) {
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		key, err = c.expiryRejected(ctx, leased.ID, requested, err)
	}
	if err != nil {
		return time.Time{}, c.classify(ctx, err, rightsEdit)
	}
	if key.KeyName != "" && key.KeyName != leased.Name {
		return time.Time{}, errOtherKey(opModify, leased)
	}
	if key.locked() {
		return time.Time{}, errKeyEnded("the key was locked out at the manager")
	}
	expiresAt, _, err := c.keyExpiry(ctx, leased.ID, key, requested)
	switch {
	case err != nil:
		return time.Time{}, c.classify(ctx, err, rightsView)
	case !expiresAt.After(c.clock.Now()):
		return time.Time{}, errKeyEnded("the key has expired")
	}
	return expiresAt, nil
}

// expiryRejected handles the manager's rejection of a new expiry. It is not documented whether the manager
// extends an expired key, or sets an earlier expiry. So expiryRejected reads the key, and returns it if it has
// expired or already lives as long as requested. Otherwise it returns the rejection.
func (c *connection) expiryRejected(ctx context.Context, id int, requested time.Time, rejection error) (*apiKey, error) {
	key, err := c.api.describeKey(ctx, id)
	switch {
	case provider.ClassOf(err) == provider.ClassNotFound:
		return nil, err
	case err != nil || !key.expires():
		return nil, rejection
	}
	stored := time.UnixMilli(*key.ExpiryDate)
	if stored.Before(requested) && c.api.clock.toLocal(stored).After(c.clock.Now()) {
		return nil, rejection
	}
	return key, nil
}
