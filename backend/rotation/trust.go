package rotation

import (
	"context"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// trustAttempt is a config with the new trust and one of the root credentials that the vendor may accept.
type trustAttempt struct {
	config *store.Config
	// state is that of the candidate; empty for the stored root credential.
	state store.CandidateState
}

// trustAttempts returns the attempts in the order of [store.RootState.ProbeOrder]: a pending candidate, the stored root
// credential, and then the others. A device that was restored from a backup has an older certificate and an older
// password at the same time, and none of them can be changed without the other.
func (r *Rotator) trustAttempts(next *store.Config) []trustAttempt {
	stored := *next
	stored.Root.ResolveInDoubt(store.CandidateRejected)
	var pending, others []trustAttempt
	for _, candidate := range slices.Backward(next.Root.Candidates) {
		attempt := trustAttempt{next.ReplacedInPlace(candidate, r.Clock.Now()), candidate.State}
		if candidate.State == store.CandidatePending {
			pending = append(pending, attempt)
		} else {
			others = append(others, attempt)
		}
	}
	return slices.Concat(pending, []trustAttempt{{config: &stored}}, others)
}

// ChangeTrust stores next, which differs from present, the stored config, in its trust only, after a login with the
// root credential over the new trust. If a rotation was interrupted, it also activates the root credential that the
// vendor accepts. The error is that of the login, or a conflict with status 409 if the config has changed.
func (r *Rotator) ChangeTrust(ctx context.Context, storage logical.Storage, name string, present, next *store.Config) (*provider.CheckResult, error) {
	var rejected error
	for _, attempt := range r.trustAttempts(next) {
		checked, err := r.tryTrust(ctx, storage, name, present, attempt)
		switch {
		case err == nil:
			r.Accepted(name)
			r.completeTrust(ctx, storage, name, attempt)
			return checked, nil
		case provider.ClassOf(err) != provider.ClassUnauthenticated:
			return nil, err
		case rejected == nil || attempt.state == "":
			rejected = err
		}
	}
	return nil, rejected
}

// tryTrust makes a login and stores the config.
func (r *Rotator) tryTrust(ctx context.Context, storage logical.Storage, name string, present *store.Config, attempt trustAttempt) (*provider.CheckResult, error) {
	conn, err := r.Pool.OpenTrusted(storage, name, present, attempt.config)
	if err != nil {
		return nil, err
	}
	verify := r.Pool.VerifyStoredRoot
	if attempt.state != "" {
		verify = r.Pool.VerifyCandidate
	}
	checked, err := verify(pool.WithProbe(ctx), name, attempt.config, conn) // an operator asks
	if err == nil {
		attempt.config.Root.MarkAccepted()
		err = r.Store.CompareAndSwapConfig(ctx, storage, name, present, attempt.config)
	}
	if err != nil {
		r.Pool.Logout(ctx, name, conn)
		return nil, err
	}
	r.Pool.Swap(ctx, storage, name, present, attempt.config, conn)
	return checked, nil
}

// completeTrust does what follows the activation of a candidate; see probeEach.
func (r *Rotator) completeTrust(ctx context.Context, storage logical.Storage, name string, attempt trustAttempt) {
	if attempt.state == "" {
		return
	}
	r.Logger().Info("the vendor accepts another root credential than the stored one, which was activated", "config", name, "state", attempt.state)
	if attempt.state == store.CandidatePending {
		r.SendEvent(ctx, EventRotate, "config", name)
	}
	if _, err := r.Recheck(ctx, storage, name, attempt.config); err != nil {
		r.Logger().Warn("credentials that were issued before a rotation could not be checked yet", "config", name, "error", err)
	}
}
