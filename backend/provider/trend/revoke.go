package trend

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Revoke deletes the key. It reads the key before and after the deletion:
//
//   - Before, to check that the key with this ID is the leased one. IDs are small numbers that are unique only
//     within a tenant. If the management key now belongs to another tenant, the ID can be that of an unrelated
//     key.
//   - After, to check that the key no longer exists. Neither a success nor a 404 proves the deletion, because a
//     proxy can send either without passing the request on to the manager.
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
	deleted, err := c.keyDeleted(ctx, leased)
	if err != nil || deleted {
		return err
	}
	err = c.api.deleteKey(ctx, leased.ID)
	if err != nil && provider.ClassOf(err) != provider.ClassNotFound {
		return c.classify(ctx, err, rightsDelete)
	}
	deleted, err = c.keyDeleted(ctx, leased)
	if err == nil && !deleted {
		err = &provider.Error{
			Class: provider.ClassUnavailable, Op: opDelete,
			Message: fmt.Sprintf("the manager still returns the API key with ID %d after it was deleted", leased.ID),
			Remedy:  "check whether a proxy answers in place of the manager",
		}
	}
	return err
}

// keyDeleted reports whether the manager no longer has a key with the leased key's ID. A key with this ID and
// another name is an error.
func (c *connection) keyDeleted(ctx context.Context, leased handle) (bool, error) {
	key, err := c.api.describeKey(ctx, leased.ID)
	if err != nil {
		err = c.classify(ctx, err, rightsView)
		if provider.ClassOf(err) == provider.ClassNotFound {
			return true, nil
		}
		return false, err
	}
	if key.KeyName != leased.Name {
		return false, errOtherKey(opDelete, leased)
	}
	return false, nil
}

// RevokeMarker deletes the key that the marker names.
func (c *connection) RevokeMarker(ctx context.Context, marker string) error {
	if err := c.checkUsable(opSearch); err != nil {
		return err
	}
	return c.classify(ctx, c.api.deleteKeys(ctx, marker), rightsView+" and "+rightsDelete)
}

// deleteKeys deletes all keys with exactly this name. A second search proves that none is left.
func (c *client) deleteKeys(ctx context.Context, name string) error {
	found, err := c.findKeys(ctx, name)
	if err != nil || len(found) == 0 {
		return err
	}
	for _, key := range found {
		// A key that does not exist is no failure; the second search verifies it.
		if err := c.deleteKey(ctx, key.ID); err != nil && provider.ClassOf(err) != provider.ClassNotFound {
			return err
		}
	}
	left, err := c.findKeys(ctx, name)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return &provider.Error{
			Class: provider.ClassUnavailable, Op: opDelete,
			Message: fmt.Sprintf("the manager still lists %d API keys with the name %q after they were deleted", len(left), name),
		}
	}
	return nil
}
