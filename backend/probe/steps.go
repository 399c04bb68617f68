package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Outcomes of steps, as they appear in reports.
const (
	outcomeDone     = "done"
	outcomeAccepted = "accepted"
	outcomeRefused  = "refused"
	outcomeListed   = "listed"
	outcomeUnlisted = "not listed"
	outcomeNone     = "none found"
	outcomeFound    = "found and ended"
)

// step is one step of a probe.
type step struct {
	name string
	// contract is what the engine expects, and expected the outcomes that agree with it. Without them, every outcome
	// settles a question.
	contract string
	expected []string
	// skip returns why the step does not apply, or "". Optional.
	skip func(r *run) string
	// act performs the step.
	act func(r *run, ctx context.Context) (result, error)
	// essential is true if the probe ends when the step fails.
	essential bool
}

// result is what a step has shown, in addition to the vendor's answers.
type result struct {
	outcome            string
	requested, granted time.Duration
	// inspected is what the driver read about the credential.
	inspected map[string]string
	// waited is the part of the step in which the probe waited.
	waited time.Duration
}

// skippedError says why a step turned out not to apply.
type skippedError struct{ reason string }

// Error returns the reason.
func (e *skippedError) Error() string { return e.reason }

// steps returns the steps in their order.
func (r *run) steps() []step {
	return []step{
		{name: provider.StepLogin, contract: "The root credential is accepted.", expected: []string{outcomeDone}, act: (*run).login, essential: true},
		{name: provider.StepIssue, contract: "A credential is created.", expected: []string{outcomeDone}, act: (*run).issueFirst, essential: true},
		{name: provider.StepUse, contract: "The credential works.", expected: []string{outcomeAccepted}, skip: (*run).noUser, act: (*run).useFirst},
		{name: provider.StepInspect, contract: "The credential is described.", expected: []string{outcomeDone}, skip: (*run).noInspector, act: (*run).inspect},
		{name: provider.StepList, contract: "Whether the vendor lists the credential by its marker.", skip: (*run).noLister, act: (*run).list},
		{name: provider.StepSecond, contract: "A second credential is created.", expected: []string{outcomeDone}, act: (*run).issueSecond},
		{
			name: provider.StepUseBoth, contract: "Both credentials work.", expected: []string{outcomeAccepted + ", " + outcomeAccepted},
			skip: either((*run).noUser, (*run).noSecond), act: (*run).useBoth,
		},
		{name: provider.StepRenew, contract: "The credential is renewed or confirmed.", expected: []string{outcomeDone}, skip: (*run).noRenewer, act: (*run).renewFirst},
		{
			name: provider.StepUseRenewed, contract: "The credential works after its renewal.", expected: []string{outcomeAccepted},
			skip: either((*run).noUser, (*run).noRenewer), act: (*run).useFirst,
		},
		{name: provider.StepRevoke, contract: "The vendor confirms the revocation.", expected: []string{outcomeDone}, skip: (*run).noRevoker, act: (*run).revokeFirst},
		{
			name: provider.StepUseRevoked, contract: "The revoked credential is refused.", expected: []string{outcomeRefused},
			skip: either((*run).noUser, (*run).notRevoked), act: (*run).useFirst,
		},
		{name: provider.StepRevokeAgain, contract: "A second revocation is confirmed too.", expected: []string{outcomeDone}, skip: (*run).notRevoked, act: (*run).revokeFirstAgain},
		{
			name: provider.StepMarker, contract: "No credential with the marker is left.", expected: []string{outcomeNone},
			skip: either((*run).notRevoked, (*run).noMarker), act: (*run).findMarker,
		},
		{
			name: provider.StepExpiry, contract: "The credential is refused after its expiry.", expected: []string{outcomeRefused},
			skip: either((*run).noUser, (*run).noSecond), act: (*run).useExpired,
		},
		{
			name: provider.StepRenewExpired, contract: "An expired credential is not renewed.", expected: []string{provider.ClassNotFound.String()},
			skip: either((*run).notExpired, (*run).noRenewer), act: (*run).renewExpired,
		},
		{
			name: provider.StepRevokeExpired, contract: "The revocation of an expired credential is confirmed.", expected: []string{outcomeDone},
			skip: either((*run).notExpired, (*run).noRevoker), act: (*run).revokeExpired,
		},
	}
}

// either returns the first reason of two.
func either(one, other func(*run) string) func(*run) string {
	return func(r *run) string {
		if reason := one(r); reason != "" {
			return reason
		}
		return other(r)
	}
}

func (r *run) noUser() string {
	if _, ok := r.options.Connection.(provider.User); !ok {
		return "the driver cannot use a credential"
	}
	return ""
}

func (r *run) noInspector() string {
	if _, ok := r.options.Connection.(provider.Inspector); !ok {
		return "the vendor describes no credentials"
	}
	return ""
}

func (r *run) noLister() string {
	if _, ok := r.options.Connection.(provider.Lister); !ok {
		return "the vendor lists no credentials"
	}
	return ""
}

func (r *run) noSecond() string {
	if r.second == nil {
		return "there is no second credential"
	}
	return ""
}

func (r *run) noRenewer() string {
	if _, ok := r.options.Connection.(provider.Renewer); !ok {
		return "the vendor renews no credentials"
	}
	return ""
}

func (r *run) noRevoker() string {
	if !r.canRevoke() {
		return "the vendor cannot revoke a credential under this config"
	}
	return ""
}

func (r *run) notRevoked() string {
	if reason := r.noRevoker(); reason != "" {
		return reason
	}
	if !r.firstRevoked {
		return "the revocation was not confirmed"
	}
	return ""
}

func (r *run) noMarker() string {
	if _, ok := r.options.Connection.(provider.MarkerRevoker); !ok {
		return "the vendor carries no marker"
	}
	return ""
}

func (r *run) notExpired() string {
	if !r.secondExpired {
		return "the probe did not wait for an expiry"
	}
	return ""
}

// login makes a real login.
func (r *run) login(ctx context.Context) (result, error) {
	_, err := r.options.Check(ctx)
	return result{outcome: outcomeDone}, err
}

func (r *run) issueFirst(ctx context.Context) (shown result, err error) {
	r.first, shown, err = r.issue(ctx, r.options.FirstLife)
	return shown, err
}

// issueSecond creates the second credential. That no slot is free for it is no failure: the probe is to disturb no
// other user of the config.
func (r *run) issueSecond(ctx context.Context) (shown result, err error) {
	r.second, shown, err = r.issue(ctx, shortLife)
	if errors.Is(err, ErrNoSlot) || provider.ClassOf(err) == provider.ClassCapacity {
		return shown, &skippedError{"no slot is free for a second credential"}
	}
	return shown, err
}

func (r *run) issue(ctx context.Context, life time.Duration) (*Issued, result, error) {
	began := r.options.Clock.Now()
	issued, err := r.options.Issuer.Issue(ctx, life)
	if err != nil {
		return nil, result{}, err
	}
	// From the beginning of the step, since the driver counts from before it sends the request.
	granted := issued.Credential.ExpiresAt.Sub(began).Round(time.Second)
	return issued, result{outcome: outcomeDone, requested: issued.Requested, granted: granted}, nil
}

func (r *run) useFirst(ctx context.Context) (result, error) {
	outcome, err := r.use(ctx, r.first)
	return result{outcome: outcome}, err
}

func (r *run) useBoth(ctx context.Context) (result, error) {
	one, err := r.use(ctx, r.first)
	if err != nil {
		return result{}, err
	}
	other, err := r.use(ctx, r.second)
	return result{outcome: one + ", " + other}, err
}

func (r *run) use(ctx context.Context, issued *Issued) (outcome string, err error) {
	user := r.options.Connection.(provider.User)
	var accepted bool
	err = r.options.Call(ctx, func(ctx context.Context) (err error) {
		accepted, err = user.Use(ctx, issued.Credential)
		return err
	})
	if err == nil && accepted {
		return outcomeAccepted, nil
	}
	return outcomeRefused, err
}

// inspect reads what the vendor says of the credential and of itself.
func (r *run) inspect(ctx context.Context) (result, error) {
	shown := result{outcome: outcomeDone}
	err := r.options.Call(ctx, func(ctx context.Context) (err error) {
		shown.inspected, err = r.options.Connection.(provider.Inspector).Inspect(ctx, r.first.Credential)
		return err
	})
	r.setProduct(shown.inspected[provider.InspectedProduct])
	return shown, err
}

// list lists the credentials of the probe by their marker.
func (r *run) list(ctx context.Context) (result, error) {
	var listed []provider.Listed
	err := r.options.Call(ctx, func(ctx context.Context) (err error) {
		listed, err = r.options.Connection.(provider.Lister).List(ctx, r.first.Marker)
		return err
	})
	shown := result{outcome: outcomeUnlisted}
	for _, each := range listed {
		if each.Marker == r.first.Marker {
			shown.outcome = outcomeListed
		}
	}
	return shown, err
}

func (r *run) renewFirst(ctx context.Context) (result, error) { return r.renew(ctx, r.first) }

func (r *run) renew(ctx context.Context, issued *Issued) (result, error) {
	life := renewedLife
	if longest := r.options.Connection.MaxLifetime(); longest > 0 {
		life = min(life, longest)
	}
	began := r.options.Clock.Now()
	var end time.Time
	err := r.options.Call(ctx, func(ctx context.Context) (err error) {
		end, err = r.options.Connection.(provider.Renewer).Renew(ctx, issued.Credential.Handle, life)
		return err
	})
	if err != nil {
		return result{}, err
	}
	return result{outcome: outcomeDone, requested: life, granted: end.Sub(began).Round(time.Second)}, nil
}

func (r *run) revokeFirst(ctx context.Context) (result, error) {
	err := r.end(ctx, r.first)
	r.firstRevoked = err == nil
	return result{outcome: outcomeDone}, err
}

// revokeFirstAgain asks the vendor once more: the issuer has no record of the credential any more.
func (r *run) revokeFirstAgain(ctx context.Context) (result, error) {
	return r.revokeAtVendor(ctx, r.first)
}

func (r *run) revokeAtVendor(ctx context.Context, issued *Issued) (result, error) {
	err := r.options.Call(ctx, func(ctx context.Context) error {
		return r.options.Connection.(provider.Revoker).Revoke(ctx, issued.Credential.Handle)
	})
	return result{outcome: outcomeDone}, err
}

func (r *run) findMarker(ctx context.Context) (result, error) {
	shown := result{outcome: outcomeNone}
	err := r.options.Call(ctx, func(ctx context.Context) error {
		found, err := r.options.Connection.(provider.MarkerRevoker).RevokeMarker(ctx, r.first.Marker)
		if found {
			shown.outcome = outcomeFound
		}
		return err
	})
	return shown, err
}

// useExpired waits for the end of the second credential, and uses it.
func (r *run) useExpired(ctx context.Context) (result, error) {
	wait := r.second.Credential.ExpiresAt.Sub(r.options.Clock.Now()) + expiryMargin
	if wait > r.options.MaxExpiryWait {
		return result{}, &skippedError{fmt.Sprintf("the credential lives longer than the probe waits (%s)", r.options.MaxExpiryWait)}
	}
	var yield <-chan struct{}
	if r.options.Yield != nil {
		yield = r.options.Yield()
	}
	select {
	case <-r.options.Clock.After(max(wait, 0)):
	case <-yield:
		return result{}, &skippedError{errYielded.Error()}
	case <-ctx.Done():
		return result{}, ctx.Err()
	}
	r.secondExpired = true
	outcome, err := r.use(ctx, r.second)
	return result{outcome: outcome, waited: max(wait, 0)}, err
}

func (r *run) renewExpired(ctx context.Context) (result, error) { return r.renew(ctx, r.second) }

func (r *run) revokeExpired(ctx context.Context) (result, error) {
	return r.revokeAtVendor(ctx, r.second)
}
