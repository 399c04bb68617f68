package trend

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Revoke deletes the key, between two looks at it. Before: is the key of that id the one that was leased? Ids are
// small numbers that each tenant has, and a config whose management key was replaced by another tenant's would
// delete a stranger's. After: has it gone? Neither success nor 404 is taken at its word, since a proxy says either
// for a manager that never heard the question.
func (c *connection) Revoke(ctx context.Context, content json.RawMessage) error {
	leased, err := parseHandle(content)
	if err != nil {
		return err
	}
	if err := c.checkUsable(opDelete); err != nil {
		return err
	}
	if leased.ID == c.root.apiKeyID {
		return &provider.Error{
			Class: provider.ClassInvalid, Op: opDelete,
			Message: fmt.Sprintf("the API key %d is the management key in config/%s itself, which is not deleted with its own authority", leased.ID, c.api.config),
		}
	}
	gone, err := c.keyIsGone(ctx, leased)
	if err != nil || gone {
		return err
	}
	err = c.api.deleteKey(ctx, leased.ID)
	if err != nil && provider.ClassOf(err) != provider.ClassNotFound {
		return c.classify(ctx, err, rightsDelete)
	}
	gone, err = c.keyIsGone(ctx, leased)
	if err == nil && !gone {
		err = &provider.Error{
			Class: provider.ClassUnavailable, Op: opDelete,
			Message: fmt.Sprintf("the manager still shows the API key %d after it was deleted", leased.ID),
			Remedy:  "see whether a proxy answers in the manager's place",
		}
	}
	return err
}

// keyIsGone reports whether the manager has no key of that id any more. A key of another name is an error.
func (c *connection) keyIsGone(ctx context.Context, leased handle) (bool, error) {
	shown, err := c.api.describeKey(ctx, leased.ID)
	if err != nil {
		err = c.classify(ctx, err, rightsView)
		if provider.ClassOf(err) == provider.ClassNotFound {
			return true, nil
		}
		return false, err
	}
	if shown.KeyName != leased.Name {
		return false, notOurs(leased)
	}
	return false, nil
}

// RevokeMarker deletes the key of that name.
func (c *connection) RevokeMarker(ctx context.Context, marker string) error {
	if err := c.checkUsable(opSearch); err != nil {
		return err
	}
	return c.classify(ctx, c.api.deleteNamed(ctx, marker), rightsView+" and "+rightsDelete)
}

// deleteNamed deletes all keys of exactly that name, and searches again to be sure.
func (c *client) deleteNamed(ctx context.Context, name string) error {
	found, err := c.keysNamed(ctx, name)
	if err != nil || len(found) == 0 {
		return err
	}
	for _, key := range found {
		// Not found is what is wanted; the second search tells whether it is true.
		if err := c.deleteKey(ctx, key.ID); err != nil && provider.ClassOf(err) != provider.ClassNotFound {
			return err
		}
	}
	left, err := c.keysNamed(ctx, name)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return &provider.Error{
			Class: provider.ClassUnavailable, Op: opDelete,
			Message: fmt.Sprintf("the manager still lists %d API keys named %q after deleting them", len(left), name),
		}
	}
	return nil
}
