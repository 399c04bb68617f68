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
//
// In the normal case it costs one call. The key must be known to be the leased one before it is modified, as before
// it is deleted; see Revoke. The response is checked in addition.
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
	present, err := c.ownKeyPresent(ctx, opModify, leased)
	switch {
	case err != nil:
		return time.Time{}, err
	case !present:
		return time.Time{}, errKeyEnded("the key does not exist at the manager")
	}
	requested := c.api.clock.toServer(lifetime)
	key, err := c.modifyExpiry(ctx, leased, requested)
	if err != nil {
		return time.Time{}, c.classify(ctx, err, rightsEdit)
	}
	if key.ID != leased.ID || key.KeyName != leased.Name {
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

// modifyExpiry sets the key's expiry and returns the key as the manager has it afterwards.
func (c *connection) modifyExpiry(ctx context.Context, leased handle, requested time.Time) (*apiKey, error) {
	key, err := c.api.modifyKey(ctx, leased.ID, keyChange{ExpiryDate: requested.UnixMilli()})
	switch httpclient.StatusOf(err) {
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		return c.expiryRejected(ctx, leased.ID, requested, err)
	}
	if err == nil && (key.ID == 0 || key.KeyName == "") {
		// The response does not show which key was modified.
		return c.api.describeKey(ctx, leased.ID)
	}
	return key, err
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
