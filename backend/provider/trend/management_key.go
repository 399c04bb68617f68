package trend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// managementDescription is the description of a management key in the manager's console.
const managementDescription = "Management key of HashiCorp Vault: creates, extends and deletes API keys"

// managementKey creates a management key and verifies it. Bootstrap and RotateRoot use it, with remedies of
// their own.
type managementKey struct {
	client *client // creates the key, and deletes it if it is unusable
	body   newKey

	createRejected  func(*provider.Error) error // classifies a definite rejection of the creation
	unusableRemedy  string                      // the manager rejects the new key
	retryRemedy     string                      // the response was lost, and no key is left
	remainingRemedy string                      // the new key may remain
}

// create creates the key, and verifies it by a request with the key itself. After an error of a definite class,
// no key is left.
func (k managementKey) create(ctx context.Context) (*apiKey, *currentKey, error) {
	created, err := k.client.createKey(ctx, k.body)
	if err != nil {
		return nil, nil, k.revokeLost(ctx, err)
	}
	current, err := k.verify(ctx, created)
	if err != nil {
		return nil, nil, k.revokeUnusable(ctx, created.ID, err)
	}
	return created, current, nil
}

// revokeLost handles an error of the creation. If the error is ambiguous, it searches for the key by name and
// deletes it, because here the authentication that created the key is still available. The error stays ambiguous
// even if the search finds nothing: the manager may still be processing the creation.
func (k managementKey) revokeLost(ctx context.Context, cause error) error {
	failure, ok := errors.AsType[*provider.Error](cause)
	switch {
	case !ok:
		return cause
	case failure.Class.Definite():
		return k.createRejected(failure)
	}
	outcome, remedy := "a search by its name shows that no new key is left", k.retryRemedy
	err := k.revoke(ctx)
	if err != nil {
		outcome, remedy = "the search for a new key failed: "+provider.ReaderText(err), k.remainingRemedy
	}
	ambiguous := &provider.Error{
		Class: provider.ClassAmbiguous, Op: failure.Op, Message: failure.Message + "; " + outcome, Detail: failure.Detail, Remedy: remedy, Err: cause,
	}
	ambiguous.AddDetail(err)
	return ambiguous
}

// verify asks the manager to describe the new key, with the new key itself.
func (k managementKey) verify(ctx context.Context, created *apiKey) (*currentKey, error) {
	current, err := k.client.withAuth(keyAuth(created.SecretKey)).describeCurrentKey(ctx)
	switch {
	case keyRejected(err):
		failure, _ := errors.AsType[*provider.Error](err)
		failure.Class, failure.Remedy = provider.ClassForbidden, k.unusableRemedy
		return nil, failure
	case err != nil:
		return nil, err
	case current.ID != created.ID:
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opCurrent,
			Message: fmt.Sprintf("the manager returned the key with ID %d for the new key, whose ID is %d", current.ID, created.ID),
		}
	}
	return current, nil
}

// revokeUnusable deletes a key that could not be verified, and returns cause. If the deletion fails, the error
// is ClassAmbiguous.
func (k managementKey) revokeUnusable(ctx context.Context, id int, cause error) error {
	err := k.revoke(ctx)
	if err == nil {
		return cause
	}
	failure := &provider.Error{
		Class: provider.ClassAmbiguous, Op: opDelete, Err: cause, Remedy: k.remainingRemedy,
		Message: fmt.Sprintf("the new management key (ID %d) did not work (%s) and could not be deleted: %s",
			id, provider.ReaderText(cause), provider.ReaderText(err)),
	}
	failure.AddDetail(cause)
	failure.AddDetail(err)
	return failure
}

// revokeTimeout bounds the deletion of a management key that cannot be used.
const revokeTimeout = 30 * time.Second

// revoke deletes all keys with the new key's name, also for a request that was canceled: it must not leave a management
// key behind. Such a request waits for it no longer than a second.
func (k managementKey) revoke(ctx context.Context) error {
	ctx, cancel := provider.CleanupContext(ctx, revokeTimeout)
	defer cancel()
	_, err := k.client.deleteKeys(ctx, k.body.KeyName)
	return err
}
