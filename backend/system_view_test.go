package backend

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// countingSystem counts the questions that are round trips to Vault's process.
type countingSystem struct {
	logical.StaticSystemView
	questions, taints atomic.Int32
}

func (s *countingSystem) ReplicationState() consts.ReplicationState {
	s.questions.Add(1)
	return s.ReplicationStateVal
}

func (s *countingSystem) DefaultLeaseTTL() time.Duration {
	s.questions.Add(1)
	return s.DefaultLeaseTTLVal
}

func (s *countingSystem) MaxLeaseTTL() time.Duration {
	s.questions.Add(1)
	return s.MaxLeaseTTLVal
}

func (s *countingSystem) Tainted() bool {
	s.taints.Add(1)
	return s.TaintedVal
}

// watchSystem makes the mount ask a counting system, and remember its answers for maxAge.
func (m *mount) watchSystem(maxAge time.Duration) *countingSystem {
	m.t.Helper()
	asked := &countingSystem{StaticSystemView: *newSystem()}
	asked.ReplicationStateVal = consts.ReplicationDRDisabled | consts.ReplicationPerformanceDisabled
	m.backend.systemMaxAge = maxAge
	require.NoError(m.t, m.backend.Setup(m.t.Context(), &logical.BackendConfig{Logger: m.backend.Logger(), System: asked}))
	return asked
}

func TestSystemView_LeaseOperations_AskVaultOnce(t *testing.T) {
	for _, sharing := range []string{"shared", "exclusive"} {
		t.Run(sharing, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", map[string]any{"sharing": sharing, "ttl": "10m", "max_ttl": "1h"})
			asked := m.watchSystem(time.Hour)
			for range 3 {
				leased := m.read("ftd")
				_, err := m.renew(leased, 0)
				require.NoError(t, err)
				require.NoError(t, m.revoke(leased))
			}
			require.LessOrEqual(t, asked.questions.Load(), int32(2), "the replication state and the longest lease, once each")
			require.Zero(t, asked.taints.Load(), "a successful revocation does not ask")
		})
	}
}

func TestRemembered_AnswerIsOld_AsksAgain(t *testing.T) {
	now, asked := time.Unix(1000, 0), 0
	r := remembered[int]{ask: func() int { asked++; return asked }, maxAge: time.Second, now: func() time.Time { return now }}
	require.Equal(t, 1, r.get())
	now = now.Add(time.Second)
	require.Equal(t, 1, r.get())
	now = now.Add(time.Millisecond)
	require.Equal(t, 2, r.get())
	now = now.Add(-time.Minute) // the clock was set back
	require.Equal(t, 3, r.get())
}

func TestRemembered_QuestionFailed_AsksAgain(t *testing.T) {
	answers := []time.Duration{0, time.Hour, time.Minute}
	r := remembered[time.Duration]{
		ask: func() time.Duration { next := answers[0]; answers = answers[1:]; return next }, maxAge: time.Second,
		now: func() time.Time { return time.Unix(1000, 0) },
	}
	require.Zero(t, r.get())
	require.Equal(t, time.Hour, r.get())
	require.Equal(t, time.Hour, r.get())
}

func TestRemembered_NoMaxAge_AlwaysAsks(t *testing.T) {
	asked := 0
	r := remembered[int]{ask: func() int { asked++; return asked }}
	require.Equal(t, 1, r.get())
	require.Equal(t, 2, r.get())
}

func TestEvents_VaultEdition_DecidesWhatIsSent(t *testing.T) {
	for name, c := range map[string]struct {
		environment *logical.PluginEnvironment
		delivers    bool
	}{
		"community":          {&logical.PluginEnvironment{VaultVersion: "1.21.1"}, false},
		"OpenBao":            {&logical.PluginEnvironment{VaultVersion: "2.5.0"}, true},
		"enterprise":         {&logical.PluginEnvironment{VaultVersion: "1.21.1", VaultVersionMetadata: "ent"}, true},
		"enterprise in FIPS": {&logical.PluginEnvironment{VaultVersion: "1.21.1", VaultVersionMetadata: "ent.fips1403"}, true},
		"unknown":            {nil, true},
		"no version":         {&logical.PluginEnvironment{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMountWithoutVendors(t)
			m.system.PluginEnvironment = c.environment
			sent := m.watchEvents()
			m.backend.sendEvent(context.Background(), eventConfigWrite, "config", "lab")
			require.Equal(t, c.delivers, len(sent.all) == 1)
			require.Equal(t, c.delivers, len(sent.observed) == 1)
		})
	}
}
