// Package probe observes a product with one or two short-lived credentials: it issues them, uses them, renews and
// revokes them, and compares what the product did with the vendor's contract. It knows the contract of package
// provider, and neither storage nor a vendor. Its report holds no secret.
package probe

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// FirstLife is the life of the first credential by default, and shortLife that of the second, whose end the probe
	// waits for.
	FirstLife = 2 * time.Minute
	shortLife = 5 * time.Second

	// renewedLife is what a renewal asks for.
	renewedLife = 5 * time.Minute

	// MaxExpiryWait is for how long the probe waits by default for the second credential's end, and expiryMargin how much
	// longer, since a product counts whole seconds.
	MaxExpiryWait = 40 * time.Second
	expiryMargin  = 2 * time.Second

	// Budget bounds a probe, and cleanupBudget what follows: ending the credentials that are left.
	Budget        = 2 * time.Minute
	cleanupBudget = 30 * time.Second
)

// Issued is a credential of the probe.
type Issued struct {
	// ID identifies it to the [Issuer], and Marker at the vendor.
	ID, Marker string
	// Credential is what the driver returned, and Requested the lifetime that it was asked for.
	Credential *provider.Credential
	Requested  time.Duration
}

// Issuer creates and ends the credentials of a probe. The engine's records each one before it is created, so that a
// credential ends even if the process dies.
type Issuer interface {
	// Issue creates a credential that is needed for the time life.
	Issue(ctx context.Context, life time.Duration) (*Issued, error)
	// End ends a credential. A nil error means that the vendor confirmed it, or that it cannot and the credential
	// expires. A repeated call does no harm.
	End(ctx context.Context, issued *Issued) error
}

// Options describe the product to a probe.
type Options struct {
	// Vendor and Connection are the product's.
	Vendor     provider.Provider
	Connection provider.Connection
	// Check makes a real login.
	Check func(ctx context.Context) (*provider.CheckResult, error)
	// Issuer creates and ends the credentials.
	Issuer Issuer
	// Call makes every other call to the vendor. Nil calls directly.
	Call func(ctx context.Context, call func(context.Context) error) error
	// Clock is the source of time.
	Clock provider.Clock
	// FirstLife is the life of the first credential; zero means [FirstLife]. MaxExpiryWait is for how long the probe waits
	// for an expiry; zero means [MaxExpiryWait]. The fault tests set shorter times.
	FirstLife, MaxExpiryWait time.Duration
	// Performed is called after each step that was made, with its name. Optional.
	Performed func(step string)
	// Yield is closed when the probe must make room for more important work. It then ends early. Optional.
	Yield func() <-chan struct{}
}

// Probe is one run. It is safe for concurrent use.
type Probe struct {
	options Options
	facts   map[string][]provider.Fact

	mu     sync.Mutex
	report Report
}

// New returns a probe that has not begun.
func New(options Options) *Probe {
	if options.Call == nil {
		options.Call = func(ctx context.Context, call func(context.Context) error) error { return call(ctx) }
	}
	if options.FirstLife == 0 {
		options.FirstLife = FirstLife
	}
	if options.MaxExpiryWait == 0 {
		options.MaxExpiryWait = MaxExpiryWait
	}
	if options.Performed == nil {
		options.Performed = func(string) {}
	}
	p := &Probe{options: options, facts: map[string][]provider.Fact{}}
	if prober, ok := options.Vendor.(provider.Prober); ok {
		for _, fact := range prober.ProbeFacts() {
			p.facts[fact.Step] = append(p.facts[fact.Step], fact)
		}
	}
	p.report = Report{Version: reportVersion, State: StateRunning, Vendor: options.Vendor.Name(), StartedAt: options.Clock.Now().UTC()}
	return p
}

// errYielded ends a probe that makes room for a rotation of the root credential.
var errYielded = errors.New("the probe has made room for a rotation of the root credential")

// run is the state of a running probe: its two credentials.
type run struct {
	*Probe
	first, second *Issued
	// firstRevoked is true once the vendor has confirmed the end of the first credential.
	firstRevoked bool
	// secondExpired is true once the probe has waited for the end of the second credential.
	secondExpired bool
}

// Run runs the probe and returns its report. It takes at most [Budget], and a little longer to end its credentials, which
// it does also after a failure. When ctx ends, it calls the vendor no more: the issuer's records are there for what is
// left. A panic of the driver is a failed step.
func (p *Probe) Run(ctx context.Context) Report {
	r := &run{Probe: p}
	bounded, cancel := context.WithTimeout(ctx, Budget)
	defer cancel()
	state := StateComplete
	for _, step := range r.steps() {
		if err := r.mayContinue(bounded); err != nil {
			state = StateInterrupted
			p.note(err.Error())
			break
		}
		if !r.perform(bounded, step) {
			state = StateInterrupted
			p.note("the probe ended early: the steps after " + step.name + " need it")
			break
		}
	}
	r.cleanUp(ctx)
	return p.finish(state)
}

// mayContinue returns an error when the probe must end.
func (r *run) mayContinue(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the probe ended early: %w", ctx.Err())
	}
	if r.options.Yield != nil {
		select {
		case <-r.options.Yield():
			return errYielded
		default:
		}
	}
	return nil
}

// cleanUp ends the credentials that are left. Where that fails, the issuer retries.
func (r *run) cleanUp(ctx context.Context) {
	if ctx.Err() != nil {
		r.note("the mount ends: the engine ends the credentials of this probe when it runs again")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cleanupBudget)
	defer cancel()
	for _, issued := range []*Issued{r.first, r.second} {
		if issued == nil {
			continue
		}
		if err := r.end(ctx, issued); err != nil {
			r.note(fmt.Sprintf("credential %s could not be ended yet, and the engine tries again: %s", issued.ID, provider.ClassOf(err)))
		}
	}
	if !r.canRevoke() && (r.first != nil || r.second != nil) {
		r.note("the vendor cannot revoke the credentials of this probe; they live until they expire")
	}
}

// end ends a credential, and turns a panic into an error.
func (r *run) end(ctx context.Context, issued *Issued) error {
	_, err := provider.CatchPanic("probe: end", func() (struct{}, error) { return struct{}{}, r.options.Issuer.End(ctx, issued) })
	return err
}

// canRevoke reports whether the vendor can end a credential under this configuration.
func (r *run) canRevoke() bool {
	if conditional, ok := r.options.Connection.(provider.ConditionalRevoker); ok && !conditional.CanRevoke() {
		return false
	}
	return r.options.Vendor.Capabilities().Revokes
}

// Snapshot returns the report as far as it is known.
func (p *Probe) Snapshot() Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.report.clone()
}

// note adds a remark to the report.
func (p *Probe) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.Notes = append(p.report.Notes, text)
}

// finish completes the report.
func (p *Probe) finish(state State) Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.State, p.report.EndedAt = state, p.options.Clock.Now().UTC()
	return p.report.clone()
}

// productText matches what a report may say of a product: a version and a model, and no address.
var productText = regexp.MustCompile(`^[A-Za-z0-9 .,()_/+-]{1,100}$`)

// setProduct sets what the product says of itself.
func (p *Probe) setProduct(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if productText.MatchString(text) {
		p.report.Product = text
	}
}
