package backend

import (
	"context"
	"net/http"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
)

// events keeps what the engine sends.
type events struct{ kinds []string }

func (e *events) SendEvent(_ context.Context, kind logical.EventType, _ *logical.EventData) error {
	e.kinds = append(e.kinds, string(kind))
	return nil
}

// watchEvents keeps the events of the mount from now on.
func (m *mount) watchEvents() *events {
	m.t.Helper()
	sent := &events{}
	require.NoError(m.t, m.backend.Setup(m.t.Context(), &logical.BackendConfig{
		Logger: hclog.NewNullLogger(), System: m.backend.System(), EventsSender: sent,
	}))
	return sent
}

func TestEvents_RevocationFailsThenSucceeds_AreSent(t *testing.T) {
	m := newMount(t)
	sent := m.watchEvents()
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.vendors.ClearFaults("ftd")
	require.NoError(t, m.revoke(leased))
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
	m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, []string{lease.EventRevokeFail, lease.EventRevoke, lease.EventCreateUnknown}, sent.kinds)
}
