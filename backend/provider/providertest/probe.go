package providertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/probe"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// directIssuer is the [probe.Issuer] of a connection without an engine: nothing records its credentials.
type directIssuer struct {
	connection provider.Connection
	revokes    bool
	request    provider.IssueRequest
	issued     int
}

// Issue implements [probe.Issuer].
func (i *directIssuer) Issue(ctx context.Context, life time.Duration) (*probe.Issued, error) {
	request := i.request
	i.issued++
	request.Marker += "-probe" + strings.Repeat("x", i.issued)
	// As the engine does, with room for the time that an answer travels.
	request.Lifetime = (life + 15*time.Second).Truncate(time.Second)
	if longest := i.connection.MaxLifetime(); longest > 0 {
		request.Lifetime = min(request.Lifetime, longest)
	}
	credential, err := i.connection.Issue(ctx, request)
	if err != nil {
		return nil, err
	}
	return &probe.Issued{ID: request.Marker, Marker: request.Marker, Credential: credential, Requested: request.Lifetime}, nil
}

// End implements [probe.Issuer].
func (i *directIssuer) End(ctx context.Context, issued *probe.Issued) error {
	if !i.revokes {
		return nil
	}
	return i.connection.(provider.Revoker).Revoke(ctx, issued.Credential.Handle)
}

// runProbe probes a product, logs the report, and requires that each step is as the engine expects. A fact that differs
// from the vendor's contract is a finding, and not a failure.
func runProbe(t *testing.T, vendor provider.Provider, connection provider.Connection, request provider.IssueRequest) {
	t.Helper()
	revokes := vendor.Capabilities().Revokes
	if conditional, ok := connection.(provider.ConditionalRevoker); ok {
		revokes = revokes && conditional.CanRevoke()
	}
	report := probe.New(probe.Options{
		Vendor: vendor, Connection: connection, Check: connection.Check, Clock: provider.SystemClock{},
		Issuer: &directIssuer{connection: connection, revokes: revokes, request: request},
	}).Run(t.Context())
	t.Log("\n" + report.Text("of this test"))
	require.Equal(t, probe.StateComplete, report.State)
	for _, row := range report.Rows {
		if row.Fact == "" {
			assert.NotEqual(t, probe.VerdictDiffers, row.Verdict, "%s: %s", row.Step, row.Observed)
		}
	}
}
