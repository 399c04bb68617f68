package backend

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// brokenClock panics at the first calls of Now, as many as left is.
type brokenClock struct {
	provider.Clock
	left atomic.Int64
}

func (c *brokenClock) Now() time.Time {
	if c.left.Add(-1) >= 0 {
		panic("a broken clock")
	}
	return c.Clock.Now()
}

// brokenSender panics at every event and observation.
type brokenSender struct{}

func (brokenSender) SendEvent(context.Context, logical.EventType, *logical.EventData) error {
	panic("a broken event")
}

func (brokenSender) RecordObservationFromPlugin(context.Context, string, map[string]any) error {
	panic("a broken observation")
}

// brokenStorage panics at every read.
type brokenStorage struct{ logical.Storage }

func (brokenStorage) Get(context.Context, string) (*logical.StorageEntry, error) {
	panic("a broken storage")
}

// The log and the events are not what a client asks for. A credential whose read failed after its issue would have no
// lease.
func TestRequest_RecordingPanics_IsAnsweredAllTheSame(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	healthy := m.backend.clock
	for name, breakIt := range map[string]func(){
		"at the beginning": func() {
			broken := &brokenClock{Clock: healthy}
			broken.left.Store(1)
			m.backend.clock = broken
		},
		"at the end": func() {
			require.NoError(t, m.backend.Setup(t.Context(), &logical.BackendConfig{
				Logger: m.backend.Logger(), System: m.backend.System(), EventsSender: brokenSender{}, ObservationRecorder: brokenSender{},
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, request := range []struct {
				operation logical.Operation
				path      string
				data      map[string]any
			}{
				{logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 3}},
				{logical.UpdateOperation, "roles/other", map[string]any{"config": "ftd"}},
				{logical.DeleteOperation, "roles/other", nil},
			} {
				breakIt()
				m.must(request.operation, request.path, request.data)
			}
			breakIt()
			leased := m.read("ftd")
			require.NotEmpty(t, leased.data["token"])
			breakIt()
			_, err := m.renew(leased, 0)
			require.NoError(t, err)
			breakIt()
			m.rejected(http.StatusNotFound, logical.ReadOperation, "creds/missing", nil)
			m.backend.clock = healthy
			require.NoError(t, m.backend.Setup(t.Context(), &logical.BackendConfig{Logger: m.backend.Logger(), System: m.backend.System()}))
			require.NoError(t, m.revoke(leased))
		})
	}
}

// Vault checks the existence before it sends a write.
func TestRequest_StorageReadPanics_FailsThatRequestOnly(t *testing.T) {
	m := newMountWithoutVendors(t)
	sent := &events{}
	require.NoError(t, m.backend.Setup(t.Context(), &logical.BackendConfig{
		Logger: hclog.New(&hclog.LoggerOptions{Output: &sent.log, Level: hclog.Debug, JSONFormat: true}), System: m.backend.System(),
	}))
	for _, path := range []string{"config/x", "roles/x"} {
		request := &logical.Request{Operation: logical.UpdateOperation, Path: path, Storage: brokenStorage{m.storage}, Data: map[string]any{}}
		_, _, err := m.backend.HandleExistenceCheck(t.Context(), request)
		var coded logical.HTTPCodedError
		require.ErrorAs(t, err, &coded)
		require.Equal(t, http.StatusInternalServerError, coded.Code())
		require.NotContains(t, err.Error(), "a broken storage")
		request.Operation = logical.ReadOperation
		response, err := m.backend.HandleRequest(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, http.StatusInternalServerError, response.Data[logical.HTTPStatusCode])
	}
	require.Len(t, sent.lines(t, "an existence check panicked"), 2)
	require.Len(t, sent.lines(t, "a handler panicked"), 2)
}

// brokenSystem panics when it is asked whether the mount is tainted.
type brokenSystem struct{ logical.SystemView }

func (brokenSystem) Tainted() bool { panic("a broken system view") }

// breakSystem makes Vault's view of the system panic, and returns what is logged.
func (m *mount) breakSystem() *events {
	m.t.Helper()
	sent := &events{}
	require.NoError(m.t, m.backend.Setup(m.t.Context(), &logical.BackendConfig{
		Logger:      hclog.New(&hclog.LoggerOptions{Output: &sent.log, Level: hclog.Debug, JSONFormat: true}),
		System:      brokenSystem{m.backend.System()},
		StorageView: m.storage,
	}))
	return sent
}

func TestInitialize_StepPanics_OtherStepsRun(t *testing.T) {
	m := newMountWithoutVendors(t)
	m.backend.stopWorker()
	sent := m.breakSystem()
	err := m.backend.Initialize(t.Context(), &logical.InitializationRequest{Storage: m.storage})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "a broken system view")
	require.NotNil(t, m.backend.runningWorker(), "the next step ran")
	require.Equal(t, maybeSealing, m.backend.leaseEnds.limits(), "no root credential is revoked by mistake")
	require.Len(t, sent.lines(t, "a step panicked"), 1)
}

func TestClean_StepPanics_OtherStepsRun(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")
	sent := m.breakSystem()
	m.backend.Clean(t.Context())
	require.Len(t, sent.lines(t, "a step panicked"), 1)
	require.Error(t, m.backend.lifetime.Err())
	require.Nil(t, m.backend.runningWorker())
}

// panickingCloser is a connection whose Close panics.
type panickingCloser struct{ provider.Connection }

func (panickingCloser) Close() { panic("a fault in Close") }

// The pool contains the driver: what another node has changed is dropped all the same.
func TestInvalidate_DriverPanics_ConfigIsReadAgain(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")
	conn, err := m.backend.pool.Acquire(m.storage, "ftd", m.config("ftd"))
	require.NoError(t, err)
	conn.Connection = panickingCloser{conn.Connection}
	conn.Release()
	changed := m.config("ftd")
	changed.Retired = true
	stored, err := logical.StorageEntryJSON(store.ConfigPrefix+"ftd", changed)
	require.NoError(t, err)
	require.NoError(t, m.storage.Put(t.Context(), stored))
	m.backend.InvalidateKey(t.Context(), store.ConfigPrefix+"ftd")
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil, "retired")
}

// The revocations of a mount that ends run in goroutines of their own.
func TestEndAll_StoragePanics_CredentialsAreLeft(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")
	left, err := m.backend.credentials.EndAll(t.Context(), brokenStorage{m.storage}, "ftd")
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// brokenReports panics when the report of a probe is stored for the second time, at its end.
type brokenReports struct {
	logical.Storage
	stored *atomic.Int64
}

func (s brokenReports) Put(ctx context.Context, entry *logical.StorageEntry) error {
	if strings.HasPrefix(entry.Key, probePrefix) && s.stored.Add(1) == 2 {
		panic("a broken storage")
	}
	return s.Storage.Put(ctx, entry)
}

// A probe runs on after its request, in a goroutine of its own.
func TestProbe_EndPanics_NextProbeRuns(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	m.clock.passWaits()
	healthy := m.storage
	m.storage = brokenReports{healthy, new(atomic.Int64)}
	require.Equal(t, "complete", m.runProbe("lacework")["state"])
	require.Equal(t, "interrupted", m.must(logical.ReadOperation, "config/lacework/probe", nil).Data["state"], "the report was not stored")
	conn, err := m.backend.pool.Acquire(healthy, "lacework", m.config("lacework"))
	require.NoError(t, err)
	conn.Release()
	require.Zero(t, conn.Users(), "the probe has released it")
	m.runProbe("lacework")
	require.Equal(t, "complete", m.must(logical.ReadOperation, "config/lacework/probe", nil).Data["state"])
}
