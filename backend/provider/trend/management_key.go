package trend

import (
	"context"
	"errors"
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// managementDescription tells a person who looks at the manager's console what the key is for.
const managementDescription = "Management key of HashiCorp Vault: makes, extends and deletes API keys"

// managementKey is a management key that is to be made, and what to say where that fails.
type managementKey struct {
	by     *client // the login that makes it, and that deletes it where it is of no use
	wanted newKey

	refused  func(*provider.Error) error // judges a refusal to make it
	unusable string                      // what to do where the manager refuses the new key
	again    string                      // what to do where it is gone
	leftOver string                      // what to do where it may be left
}

// make makes the key and asks with it who it is. After a definite error it is gone.
func (k managementKey) make(ctx context.Context) (*apiKey, *currentKey, error) {
	made, err := k.by.createKey(ctx, k.wanted)
	if err != nil {
		return nil, nil, k.endLost(ctx, err)
	}
	own, err := k.prove(ctx, made)
	if err != nil {
		return nil, nil, k.endUnproved(ctx, made.ID, err)
	}
	return made, own, nil
}

// endLost is for a key that may have been made. It is looked for and deleted here, where the right login is at
// hand. The error stays ambiguous even if it is gone: a creation that was cut off may still be under way.
func (k managementKey) endLost(ctx context.Context, cause error) error {
	failure, ok := errors.AsType[*provider.Error](cause)
	switch {
	case !ok:
		return cause
	case failure.Class.Definite():
		return k.refused(failure)
	}
	outcome, remedy := "what it may have made was looked for by its name and is gone", k.again
	if err := k.end(ctx); err != nil {
		outcome, remedy = "looking for what it may have made failed: "+err.Error(), k.leftOver
	}
	return &provider.Error{
		Class: provider.ClassAmbiguous, Op: failure.Op, Message: failure.Message + "; " + outcome, Remedy: remedy, Err: cause,
	}
}

// prove asks with the new key who it is.
func (k managementKey) prove(ctx context.Context, made *apiKey) (*currentKey, error) {
	own, err := k.by.as(keyLogin(made.SecretKey)).current(ctx)
	switch {
	case keyIsRefused(err):
		failure, _ := errors.AsType[*provider.Error](err)
		failure.Class, failure.Remedy = provider.ClassForbidden, k.unusable
		return nil, failure
	case err != nil:
		return nil, err
	case own.ID != made.ID:
		return nil, &provider.Error{Class: provider.ClassUnavailable, Op: opCurrent, Message: "the manager takes the new key for another one"}
	}
	return own, nil
}

// endUnproved deletes a key that does not work.
func (k managementKey) endUnproved(ctx context.Context, id int, cause error) error {
	err := k.end(ctx)
	if err == nil {
		return cause
	}
	return &provider.Error{
		Class: provider.ClassAmbiguous, Op: opDelete, Err: cause, Remedy: k.leftOver,
		Message: fmt.Sprintf("the new management key (ID %d) did not work (%s), and could not be deleted: %s", id, cause.Error(), err.Error()),
	}
}

// end deletes whatever has the key's name. The caller's giving up must not leave a management key behind, so it
// does not end with the caller's context; the client bounds each request.
func (k managementKey) end(ctx context.Context) error {
	return k.by.deleteNamed(context.WithoutCancel(ctx), k.wanted.KeyName)
}
