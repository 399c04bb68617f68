package probe_test

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/probe"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// product is a vendor whose credentials live until they are revoked or expire. The embedded interfaces are nil: a probe
// calls nothing else of them.
type product struct {
	provider.Provider
	now   time.Time
	facts []provider.Fact
	// live holds the revocable credentials by their tokens, and ended the IDs that the issuer was asked to end.
	live  map[string]bool
	ended []string
	count int

	// fail returns the error of a step, or panics. Optional.
	fail func(step string) error
	// immortal credentials work after their revocation.
	immortal bool
}

func newProduct() *product {
	return &product{live: map[string]bool{}, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// probe returns a probe of the product.
func (p *product) probe(change func(*probe.Options)) *probe.Probe {
	options := probe.Options{
		Vendor: p, Connection: connection{product: p}, Issuer: issuer{p}, Clock: p,
		Check: func(context.Context) (*provider.CheckResult, error) {
			return &provider.CheckResult{}, p.failure("login")
		},
	}
	if change != nil {
		change(&options)
	}
	return probe.New(options)
}

func (p *product) failure(step string) error {
	if p.fail == nil {
		return nil
	}
	return p.fail(step)
}

func (p *product) Name() string                        { return "acme" }
func (p *product) Capabilities() provider.Capabilities { return provider.Capabilities{Revokes: true} }
func (p *product) ProbeFacts() []provider.Fact         { return p.facts }
func (p *product) Now() time.Time                      { return p.now }

// After lets the time pass at once.
func (p *product) After(d time.Duration) <-chan time.Time {
	p.now = p.now.Add(d)
	passed := make(chan time.Time, 1)
	passed <- p.now
	return passed
}

// connection is the connection to the product.
type connection struct {
	provider.Connection
	product *product
}

func (c connection) MaxLifetime() time.Duration { return 0 }

func (c connection) Use(ctx context.Context, credential *provider.Credential) (bool, error) {
	if err := c.product.failure("use"); err != nil {
		return false, err
	}
	provider.AnswerLogOf(ctx).Add(provider.Answer{Op: "acme: read", Method: "GET", Status: 200})
	works := c.product.live[credential.Token] || c.product.immortal
	return works && c.product.now.Before(credential.ExpiresAt), nil
}

func (c connection) Revoke(_ context.Context, handle json.RawMessage) error {
	delete(c.product.live, string(handle))
	return c.product.failure("revoke")
}

// issuer is the issuer of the product's credentials.
type issuer struct{ product *product }

func (i issuer) Issue(_ context.Context, life time.Duration) (*probe.Issued, error) {
	i.product.count++
	id := strconv.Itoa(i.product.count)
	if err := i.product.failure("issue " + id); err != nil {
		return nil, err
	}
	i.product.live[id] = true
	return &probe.Issued{ID: id, Marker: "marker-" + id, Requested: life, Credential: &provider.Credential{
		Token: id, Handle: json.RawMessage(id), ExpiresAt: i.product.now.Add(life),
	}}, nil
}

func (i issuer) End(_ context.Context, issued *probe.Issued) error {
	i.product.ended = append(i.product.ended, issued.ID)
	delete(i.product.live, issued.ID)
	return i.product.failure("end")
}
