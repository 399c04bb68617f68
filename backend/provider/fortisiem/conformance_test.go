package fortisiem_test

import (
	"context"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	emulated "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// unthrottled is the provider with a clock whose waits take no time, and with only as many concurrent callers as the rate
// limiter's queue admits. Both affect the wait for a turn only.
type unthrottled struct{ driver }

// driver has the abilities of the vendor's provider.
type driver interface {
	provider.Provider
	provider.Prober
}

// maxCallers is the number of turns within the longest wait.
const maxCallers = 6

// Open implements provider.Provider.
func (p unthrottled) Open(config provider.Config) (provider.Connection, error) {
	config.Clock = skippingClock{config.Clock.(*providertest.Clock)}
	connection, err := p.driver.Open(config)
	if err != nil {
		return nil, err
	}
	return queued{connection.(revoker), make(chan struct{}, maxCallers)}, nil
}

// prober has the abilities of all connections of the vendor.
type prober interface {
	provider.Connection
	provider.User
	provider.Inspector
}

// revoker has the abilities of the vendor's connections with a revoke_url.
type revoker interface {
	prober
	provider.Revoker
	provider.ConditionalRevoker
}

// queued limits the number of concurrent callers of Issue.
type queued struct {
	revoker
	callers chan struct{}
}

// Issue implements provider.Connection.
func (q queued) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	q.callers <- struct{}{}
	defer func() { <-q.callers }()
	return q.revoker.Issue(ctx, request)
}

// hooked is the provider with the emulator's revocation route as revoke_url.
type hooked struct{ driver }

// Open implements provider.Provider.
func (p hooked) Open(config provider.Config) (provider.Connection, error) {
	fields := maps.Clone(config.Fields.Raw)
	hook := vendorfacts.Named("fortisiem").Hook
	fields["revoke_url"], fields["revoke_body"] = config.Address+hook.Path, hook.Body
	config.Fields = &framework.FieldData{Raw: fields, Schema: config.Fields.Schema}
	return p.driver.Open(config)
}

// unhooked is the provider without a revoke_url, which must behave like a provider that cannot revoke.
type unhooked struct{ driver }

// Capabilities implements provider.Provider.
func (p unhooked) Capabilities() provider.Capabilities {
	can := p.driver.Capabilities()
	can.Revokes = false
	return can
}

// Open implements provider.Provider.
func (p unhooked) Open(config provider.Config) (provider.Connection, error) {
	connection, err := p.driver.Open(config)
	if err != nil {
		return nil, err
	}
	return struct{ prober }{connection.(prober)}, nil
}

// suite describes the vendor to the conformance suite. No request can choose the lifetime of a token, so the emulator's GUI
// has the lifetime of the suite. The interval between token requests is zero: the suite opens many connections, and their
// waits would move its clock. Other tests of this package test the interval.
func suite() providertest.Suite {
	facts := vendorfacts.Named("fortisiem")
	return providertest.Suite{
		New:       func() provider.Provider { return hooked{unthrottled{fortisiem.New().(driver)}} },
		Emulator:  emulatortest.WithDefaults(emulated.New(), "access_token_expiry", "3h", "token_interval", "0s", "revoke_route", "yes"),
		Create:    facts.Operations.Issue,
		Required:  facts.Root,
		WrongRoot: map[string]any{"client_secret": "not-the-secret-of-this-client"},
		Use:       providertest.UseBy(facts),
		// 429 means too early, at least for the documented interval.
		RateLimitPause: 5 * time.Second, RepeatsRateLimited: true,
		// Documented for protected resources: the token has expired or was revoked.
		Gone: []int{http.StatusUnauthorized},
		Variants: []providertest.Variant{
			providertest.Switched("expires_in_unit", "minutes"),
			providertest.Switched("expires_in_unit", "mismatch"),
			providertest.Switched("token_has_iat", "yes"),
			providertest.Switched("token_subject", "owner"),
			providertest.Switched("answer_names", "spare"),
			providertest.Switched("answer_names", "spare", "token_form", "opaque"),
			providertest.Switched("token_form", "opaque", "expires_in_unit", "seconds"),
			providertest.Switched("token_form", "jwt_without_exp", "expires_in_unit", "seconds"),
			providertest.Switched("not_a_form_status", "415"),
			providertest.Switched("token_interval_from", "admitted_request"),
			providertest.Switched("early_request_is_failure", "no"),
			providertest.Switched("failure_threshold", "1"),
			providertest.Switched("failure_threshold", "0"),
			providertest.Switched("json_content_type", "text/plain"),
			providertest.Switched("error_shape", "plain_as_json"),
			providertest.Switched("unauthorized_body", "plain"),
			providertest.Switched("unauthorized_body", "empty"),
			providertest.Switched("refresh_grant", "accepted"),
		},
	}
}

func TestConformance(t *testing.T) {
	without := suite()
	without.New = func() provider.Provider { return unhooked{unthrottled{fortisiem.New().(driver)}} }
	t.Run("without revoke_url", without.Run)
	with := suite()
	with.Variants = []providertest.Variant{
		providertest.Switched("token_form", "opaque", "expires_in_unit", "seconds"),
		providertest.Switched("json_content_type", "text/plain"),
		providertest.Switched("error_shape", "plain_as_json"),
		providertest.Switched("revoke_unknown_status", "200"),
		providertest.Switched("revoke_unknown_status", "401"),
		providertest.Switched("revoke_unknown_status", "401", "unauthorized_body", "plain"),
		providertest.Switched("revoke_unknown_status", "401", "unauthorized_body", "empty"),
	}
	t.Run("with revoke_url", with.Run)
}
