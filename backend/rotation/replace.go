package rotation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// replacement is one rotation while it runs. There are two kinds. In place, the vendor changes a value that
// the engine proposes, such as a password: the proposal is stored with the config before the vendor is asked.
// Otherwise the vendor creates a second root credential: its marker is stored before the vendor is asked.
type replacement struct {
	*Rotator
	storage logical.Storage
	name    string
	conn    *pool.Conn
	rotator provider.RootRotator

	// marker names the new root credential at vendors that create a second one.
	marker string
	// inPlace is true when the proposed root credential replaces the stored one at the vendor.
	inPlace bool
	// prepared is the config with the proposal.
	prepared *store.Config
	proposed store.RootCandidate
}

// run stores the intent, asks the vendor for the change, proves that the new root credential works, and stores
// it.
func (r *replacement) run(ctx context.Context, entry *store.Config) ([]string, error) {
	if err := r.prepare(ctx, entry); err != nil {
		return nil, err
	}
	failpoint.Hit("rotate.noted")
	rotated, err := r.change(ctx, entry)
	if err != nil {
		return nil, err
	}
	failpoint.Hit("rotate.rotated")

	// What was changed at the vendor must be stored, whether or not the caller still waits.
	ctx, cancel := provider.CleanupContext(ctx, cleanupTimeout)
	defer cancel()
	r.proposed.Fields = rotated.Fields
	next := r.next()
	next.Root.Previous, next.Root.RecheckCredentials = rotated.Previous, rotated.InvalidatesCredentials
	if err := r.activateRoot(ctx, r.storage, r.name, r.prepared, next); err != nil {
		return nil, r.rollbackRotation(ctx, rotated, err)
	}
	failpoint.Hit("rotate.stored")
	if !r.inPlace {
		r.clearRootIntent(ctx, r.storage, r.name, r.marker)
	}
	if !next.Root.RecheckCredentials {
		return rotated.Warnings, nil
	}
	if ended, err := r.Recheck(ctx, r.storage, r.name, next); err == nil && ended > 0 {
		rotated.Warnings = append(rotated.Warnings, fmt.Sprintf(
			"the vendor has ended %d live credentials with the previous root credential; their holders must read new ones", ended))
	}
	return rotated.Warnings, nil
}

// prepare stores the intent of the rotation.
func (r *replacement) prepare(ctx context.Context, entry *store.Config) error {
	fresh, err := r.rotator.ProposeRoot(func(policy string) (string, error) { return r.newPassword(ctx, policy) })
	if err != nil {
		return err
	}
	id, err := marker.NewID(r.Random)
	if err != nil {
		return err
	}
	if r.marker, err = r.Markers.Marker(ctx, r.storage, "config-"+r.name, id); err != nil {
		return err
	}
	prepared := *entry
	r.prepared, r.inPlace = &prepared, fresh != nil
	if !r.inPlace {
		r.proposed = store.RootCandidate{ConnectionID: rand.Text()}
		return r.Store.PutRootIntent(ctx, r.storage, r.name, store.RootIntent{Marker: r.marker, At: r.Clock.Now()})
	}
	r.proposed = entry.Root.NextPending(fresh)
	prepared.Root.Put(r.proposed)
	return r.Store.CompareAndSwapConfig(ctx, r.storage, r.name, entry, r.prepared)
}

// change asks the vendor for the change. After a definite refusal, the rotation is aborted.
func (r *replacement) change(ctx context.Context, entry *store.Config) (*provider.RotatedRoot, error) {
	var rotated *provider.RotatedRoot
	if r.inPlace {
		r.Pool.ForgetRejections(r.prepared.WithRoot(r.proposed, r.Clock.Now()))
	}
	err := r.Pool.Call(ctx, r.conn, entry.Vendor, pool.OperationRotate, func(ctx context.Context) (err error) {
		rotated, err = r.rotator.RotateRoot(ctx, r.marker, r.proposed.Fields)
		return err
	})
	class := provider.ClassOf(err)
	if err == nil || !class.Definite() {
		return rotated, err
	}
	if r.inPlace && class == provider.ClassInvalid {
		// The vendor may have refused the new root credential, or the present one, which another may have replaced.
		if _, checkErr := r.Pool.Check(ctx, r.conn, entry.Vendor); checkErr != nil {
			class = provider.ClassUnavailable
		}
	}
	r.abortRotation(ctx, class)
	return nil, err
}

// next returns the config with the new root credential.
func (r *replacement) next() *store.Config {
	if r.inPlace {
		return r.prepared.ReplacedInPlace(r.proposed, r.Clock.Now())
	}
	next := r.prepared.WithRoot(r.proposed, r.Clock.Now())
	next.RootMarker, next.Root.RotatedAt = r.marker, r.Clock.Now()
	return next
}

// abortRotation records that the vendor has refused the change. class is that of the refusal.
func (r *replacement) abortRotation(ctx context.Context, class provider.Class) {
	if !r.prepared.Root.InDoubt() {
		r.clearRootIntent(ctx, r.storage, r.name, r.marker)
		return
	}
	refused := *r.prepared
	state := store.CandidateRejected
	if class == provider.ClassInvalid {
		state = store.CandidateInvalid
	}
	refused.Root.ResolveInDoubt(state)
	if err := r.Store.CompareAndSwapConfig(context.WithoutCancel(ctx), r.storage, r.name, r.prepared, &refused); err != nil {
		r.Logger().Warn("a refused rotation could not be recorded; the next request finds out which root credential the vendor accepts",
			"config", r.name, "error", err)
	}
}

// rollbackRotation revokes a new root credential that could not be activated. If the vendor has already
// replaced the old one, it keeps both and returns ClassAmbiguous.
func (r *replacement) rollbackRotation(ctx context.Context, rotated *provider.RotatedRoot, cause error) error {
	if rotated.Undo == nil {
		return &provider.Error{
			Class: provider.ClassAmbiguous, Err: cause,
			Message: "the vendor has changed the root credential, and the new one could not be activated: " + provider.ReaderText(cause),
			Remedy:  "both are kept, and the next request finds out which one the vendor accepts",
		}
	}
	if errors.Is(cause, store.ErrIndeterminate) {
		return &provider.Error{
			Class: provider.ClassAmbiguous, Err: cause,
			Message: "the vendor has created a new root credential, and whether it is stored is not known: " + provider.ReaderText(cause),
			Remedy:  "the background work revokes the one that is not stored",
		}
	}
	if err := rotated.Undo(ctx); err != nil {
		r.Logger().Warn("a new root credential that is not used could not be revoked; this is retried", "config", r.name, "marker", r.marker, "error", err)
	} else {
		r.clearRootIntent(ctx, r.storage, r.name, r.marker)
	}
	return fmt.Errorf("the new root credential could not be activated, and the present one stays: %w", cause)
}

// activateRoot proves that a config's next root credential works, stores it, and makes its connection the
// config's.
func (r *Rotator) activateRoot(ctx context.Context, storage logical.Storage, name string, present, next *store.Config) error {
	conn, err := r.Pool.OpenNext(storage, name, present, next)
	if err != nil {
		return err
	}
	checked, err := r.Pool.VerifyCandidate(ctx, name, next, conn)
	if err == nil {
		next.Root.SetExpiry(checked.RootExpiresAt)
		err = r.Store.CompareAndSwapConfig(ctx, storage, name, present, next)
	}
	if err != nil {
		r.Pool.Logout(ctx, name, conn)
		return err
	}
	r.Pool.Swap(ctx, storage, name, present, next, conn)
	return nil
}
