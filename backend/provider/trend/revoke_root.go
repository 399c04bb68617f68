package trend

import (
	"context"
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// RevokeRoot deletes the management key with itself: no other key of the engine is left that could. It is not
// documented whether the manager accepts that. The manager confirms the deletion by rejecting the key, which it
// accepted a moment before.
func (c *connection) RevokeRoot(ctx context.Context, marker string) error {
	if err := c.checkUsable(opDelete); err != nil {
		return err
	}
	current, err := c.api.describeCurrentKey(ctx)
	if err != nil {
		return c.classifyCurrent(err)
	}
	if current.KeyName != marker {
		return &provider.Error{
			Class: provider.ClassInvalid, Op: opDelete,
			Message: fmt.Sprintf("the management key of config/%s is not named %q, so the engine has not created it", c.api.config, marker),
		}
	}
	deleteErr := c.api.deleteKey(ctx, current.ID)
	_, err = c.api.describeCurrentKey(ctx)
	switch {
	case keyRejected(err):
		return nil // whatever the deletion answered: its answer may have been lost, and a repetition is rejected
	case deleteErr != nil && provider.ClassOf(deleteErr) != provider.ClassNotFound:
		return c.classify(ctx, deleteErr, rightsDelete)
	case err != nil:
		return err
	}
	return &provider.Error{
		Class: provider.ClassUnavailable, Op: opDelete,
		Message: fmt.Sprintf("the manager still accepts the API key with ID %d after it was deleted", current.ID),
		Remedy:  "delete it at the manager (Administration, User Management, API Keys)",
	}
}
