package trend

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// Renew moves the key's expiry, to a later time or an earlier one: the key works until at least now plus
// lifetime, and no longer than the manager says.
func (c *connection) Renew(ctx context.Context, content json.RawMessage, lifetime time.Duration) (time.Time, error) {
	leased, err := parseHandle(content)
	if err != nil {
		return time.Time{}, err
	}
	if err := c.checkUsable(opModify); err != nil {
		return time.Time{}, err
	}
	if err := c.handshake(ctx); err != nil {
		return time.Time{}, err
	}
	asked := c.api.clock.toServer(lifetime)
	changed, err := c.api.modifyKey(ctx, leased.ID, keyChange{ExpiryDate: asked.UnixMilli()})
	switch httpclient.StatusOf(err) {
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		changed, err = c.expiryRejected(ctx, leased.ID, asked, err)
	}
	if err != nil {
		return time.Time{}, c.classify(ctx, err, rightsEdit)
	}
	if changed.KeyName != "" && changed.KeyName != leased.Name {
		return time.Time{}, notOurs(leased)
	}
	if changed.locked() {
		return time.Time{}, ended("the key was locked out at the manager")
	}
	end, _, err := c.end(ctx, leased.ID, changed, asked)
	switch {
	case err != nil:
		return time.Time{}, c.classify(ctx, err, rightsView)
	case !end.After(c.clock.Now()):
		return time.Time{}, ended("the key has expired")
	}
	return end, nil
}

// expiryRejected is for an expiry that the manager refuses to move. Whether it extends a key that has expired, and
// whether it moves an expiry to an earlier time, is not documented: the key itself tells whether it has ended,
// or lives long enough as it is.
func (c *connection) expiryRejected(ctx context.Context, id int, asked time.Time, refusal error) (*apiKey, error) {
	found, err := c.api.describeKey(ctx, id)
	switch {
	case provider.ClassOf(err) == provider.ClassNotFound:
		return nil, err
	case err != nil || !found.expires():
		return nil, refusal
	}
	stored := time.UnixMilli(*found.ExpiryDate)
	if stored.Before(asked) && c.api.clock.toLocal(stored).After(c.clock.Now()) {
		return nil, refusal
	}
	return found, nil
}
