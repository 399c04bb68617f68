package trend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// Revoke deletes the key. In the normal case it costs two calls: the deletion, and a search for the key's ID that
// confirms it. Both are needed, and a third only without proof that the key is the engine's own:
//
//   - Before the deletion, the key with this ID must be known to be the leased one. IDs are small numbers that are
//     unique only within a tenant. If the management key now belongs to another tenant, the ID can be that of an
//     unrelated key. The handle contains the tenant, so usually no call is needed; see [tenant.owns]. Otherwise
//     Revoke reads the key and compares its name.
//   - After the deletion, a search must show that the key no longer exists. Neither a success nor a 404 of the
//     deletion proves it: a success has an empty body, and a proxy can send either without passing the request on
//     to the manager. A 404 of describe would prove as little. The response to a search is a list, which only
//     the manager sends.
func (c *connection) Revoke(ctx context.Context, raw json.RawMessage) error {
	leased, err := parseHandle(raw)
	if err != nil {
		return err
	}
	if err := c.checkUsable(opDelete); err != nil {
		return err
	}
	if leased.ID == c.root.apiKeyID {
		return &provider.Error{
			Class: provider.ClassInvalid, Op: opDelete,
			Message: fmt.Sprintf("the API key with ID %d is the management key of config/%s, which does not delete itself", leased.ID, c.api.config),
		}
	}
	present, err := c.ownKeyPresent(ctx, opDelete, leased)
	if err != nil || !present {
		return err
	}
	deleteErr := c.api.deleteKey(ctx, leased.ID)
	if deleteErr != nil && provider.ClassOf(deleteErr) != provider.ClassNotFound && !answerLost(deleteErr) {
		return c.classify(ctx, deleteErr, rightsDelete)
	}
	present, err = c.keyPresent(ctx, opDelete, leased)
	switch {
	case answerLost(deleteErr) && (err != nil || present):
		return deleteErr
	case err == nil && present:
		return &provider.Error{
			Class: provider.ClassUnavailable, Op: opDelete,
			Message: fmt.Sprintf("the manager still returns the API key with ID %d after it was deleted", leased.ID),
			Remedy:  "check whether a proxy answers in place of the manager",
		}
	}
	return err
}

// answerLost reports whether a request may have reached the manager and no response came back. The deletion may have
// taken place, so Revoke searches for the key at once. The search also shows whether the manager answers at all.
func answerLost(err error) bool {
	return provider.ClassOf(err) == provider.ClassUnavailable && httpclient.StatusOf(err) == 0 && !errors.Is(err, provider.ErrNotSent)
}

// RevokeMarker deletes the key that the marker names.
func (c *connection) RevokeMarker(ctx context.Context, marker string) (found bool, err error) {
	if err := c.checkUsable(opSearch); err != nil {
		return false, err
	}
	found, err = c.api.deleteKeys(ctx, marker)
	return found, c.classify(ctx, err, rightsView+" and "+rightsDelete)
}

// deleteKeys deletes all keys with exactly this name and reports whether there were any. A second search proves that
// none is left.
func (c *client) deleteKeys(ctx context.Context, name string) (found bool, err error) {
	keys, err := c.findKeys(ctx, name)
	if err != nil || len(keys) == 0 {
		return false, err
	}
	for _, key := range keys {
		// A key that does not exist is no failure; the second search verifies it.
		if err := c.deleteKey(ctx, key.ID); err != nil && provider.ClassOf(err) != provider.ClassNotFound {
			return false, err
		}
	}
	left, err := c.findKeys(ctx, name)
	if err != nil {
		return false, err
	}
	if len(left) > 0 {
		return false, &provider.Error{
			Class: provider.ClassUnavailable, Op: opDelete,
			Message: fmt.Sprintf("the manager still lists %d API keys with the name %q after they were deleted", len(left), name),
		}
	}
	return true, nil
}
