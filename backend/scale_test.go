package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// newLargeMount returns a mount whose config "trend" has n live entries in storage, as an earlier process has left them.
// Their leases last for longer than the test's clock goes.
func newLargeMount(t *testing.T, n, limit int) *mount {
	t.Helper()
	m := newMountOn(t, emulator.Config{Seed: 1, PlainHTTP: true})
	m.writeConfig("trend", map[string]any{"ca_cert": nil, "max_credentials": limit})
	m.must(logical.UpdateOperation, "roles/trend", map[string]any{"config": "trend", "role_name": "Auditor", "ttl": "1h"})
	m.fillLedger("trend", n, nil)
	m.restart()
	return m
}

// fillLedger stores n live entries of a config.
func (m *mount) fillLedger(config string, n int, change func(*ledger.Entry)) {
	m.t.Helper()
	entry := m.config(config)
	origin := entry.Origin(m.backend.providers[entry.Vendor])
	for i := range n {
		id := fmt.Sprintf("f%015d", i)
		filled := ledger.Entry{
			Version: 1, ID: id, Revision: 1, Origin: origin, Config: config, Role: "filled", Marker: m.markerPrefix() + "filled-" + id,
			State: ledger.StateLive, Handle: json.RawMessage(fmt.Sprintf(`{"v":1,"id":%d,"name":"filled-%d"}`, 1_000_000+i, i)),
			CreatedAt: m.clock.Now(), ExpiresAt: m.clock.Now().Add(48 * time.Hour), LeaseExpiresAt: m.clock.Now().Add(40 * time.Hour),
		}
		if change != nil {
			change(&filled)
		}
		stored, err := logical.StorageEntryJSON(ledger.StoragePrefix+config+"/"+id, filled)
		require.NoError(m.t, err)
		require.NoError(m.t, m.storage.Put(m.t.Context(), stored))
	}
}

// restartOn restarts the mount on other storage.
func (m *mount) restartOn(storage logical.Storage) {
	m.t.Helper()
	m.backend.Clean(m.t.Context())
	m.storage = storage
	m.start()
}

// slowLedger returns a storage whose reads of the entries of fillLedger wait until open is called. No other ID has a 0.
func slowLedger(storage logical.Storage, config string) (slow *storagetest.Storage, open func()) {
	slow, gate := storagetest.Wrap(storage), make(chan struct{})
	slow.Before = func(ctx context.Context, operation storagetest.Operation) error {
		if operation.Kind != storagetest.Get || !strings.HasPrefix(operation.Key, ledger.StoragePrefix+config+"/f0") {
			return nil
		}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return slow, sync.OnceFunc(func() { close(gate) })
}

// After a restart, any number of readers is served by one load.
func TestScale_ReadersAfterRestart_AreAllServed(t *testing.T) {
	const entries, readers = 3000, 64
	m := newLargeMount(t, entries, 2*entries)
	counted := storagetest.Wrap(m.storage)
	m.restartOn(counted)
	var group sync.WaitGroup
	for range readers {
		group.Go(func() {
			if _, err := m.tryRead("trend"); err != nil {
				t.Errorf("a reader was not served: %v", err)
			}
		})
	}
	group.Wait()
	require.Less(t, counted.Count(storagetest.Get), entries+100, "each entry is read once")
	require.Len(t, m.ledgerOf("trend"), entries+readers)
}

// A read of a limited config gets 503 within its deadline while its ledger is being loaded, and writes nothing. The load
// goes on for the next one.
func TestScale_LoadLastsLonger_AnswersInTime(t *testing.T) {
	m := newLargeMount(t, 500, 1000)
	m.must(logical.UpdateOperation, "config/small", m.configData("trend", map[string]any{"ca_cert": nil, "max_credentials": 5}))
	m.must(logical.UpdateOperation, "roles/small", map[string]any{"config": "small", "role_name": "Auditor", "ttl": "1h"})
	m.must(logical.UpdateOperation, "config/open", m.configData("trend", map[string]any{"ca_cert": nil}))
	m.must(logical.UpdateOperation, "roles/open", map[string]any{"config": "open", "role_name": "Auditor", "ttl": "1h"})
	m.fillLedger("open", 500, nil)
	unlimited := m.read("open")

	slow, open := slowLedger(m.storage, "trend")
	slowOpen, openOther := slowLedger(slow, "open")
	defer open()
	defer openOther()
	m.restartOn(slowOpen)
	writes := slow.Count(storagetest.Writes...)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	response, err := m.backend.HandleRequest(ctx, &logical.Request{
		Operation: logical.ReadOperation, Path: "creds/trend", Storage: m.storage, MountPoint: "vendorauth/",
	})
	require.NoError(t, err)
	require.NoError(t, ctx.Err(), "there is time left for the answer")
	require.Equal(t, http.StatusServiceUnavailable, response.Data[logical.HTTPStatusCode])
	require.Contains(t, string(response.Data[logical.HTTPRawBody].([]byte)), "is being loaded")
	require.Equal(t, []string{"1"}, response.Headers["Retry-After"])
	require.Equal(t, writes, slow.Count(storagetest.Writes...), "no intent is stored")

	m.read("small") // another config has few entries
	leased := m.read("open")
	_, err = m.renew(leased, 0)
	require.NoError(t, err)
	require.NoError(t, m.revoke(unlimited), "leases of before the restart too")
	require.NoError(t, m.revoke(leased))

	open()
	openOther()
	m.read("trend")
	require.NoError(t, m.revoke(m.read("open")))
}

// A lease costs the same storage operations at any size.
func TestScale_Lease_CostsTheSameAtAnySize(t *testing.T) {
	for _, limit := range []int{0, 10_000} {
		var costs []string
		for _, entries := range []int{1, 2000} {
			m := newLargeMount(t, entries, limit)
			require.NoError(t, m.revoke(m.read("trend")))
			m.runPeriodic()
			counted := storagetest.Wrap(m.storage)
			m.storage = counted
			cost := func(step string, do func()) {
				before := counted.Counts()
				do()
				after := counted.Counts()
				for kind, count := range before {
					if after[kind] -= count; after[kind] == 0 {
						delete(after, kind)
					}
				}
				costs = append(costs, fmt.Sprint(step, after))
			}
			var leased *vaultLease
			cost("read", func() { leased = m.read("trend") })
			cost("renew", func() { _, err := m.renew(leased, 0); require.NoError(t, err) })
			cost("revoke", func() { require.NoError(t, m.revoke(leased)) })
			cost("metrics", func() { m.must(logical.ReadOperation, "metrics", nil) })
			cost("list", func() { m.must(logical.ListOperation, "config/", nil) })
		}
		half := len(costs) / 2
		require.Equal(t, costs[:half], costs[half:])
		require.Equal(t, "readmap[put:2]", costs[0])
		require.Equal(t, "renewmap[get:1 put:1]", costs[1])
		require.Equal(t, "revokemap[delete:1 get:1]", costs[2])
		require.NotContains(t, costs[3], "get")
		require.NotContains(t, costs[4], "get")
	}
}

// A run of the background work without due entries reads none of them.
func TestScale_IdleRun_ReadsNoEntries(t *testing.T) {
	m := newLargeMount(t, 2000, 0)
	m.runPeriodic()
	counted := storagetest.Wrap(m.storage)
	counted.Before = func(_ context.Context, operation storagetest.Operation) error {
		if operation.Kind == storagetest.Get && strings.HasPrefix(operation.Key, ledger.StoragePrefix) {
			t.Errorf("read %s", operation.Key)
		}
		return nil
	}
	m.restartOn(m.storage)
	m.runPeriodic()
	m.backend.stopWorker()
	m.storage = counted
	m.runPeriodicAfter(2 * time.Minute)
	require.Empty(t, m.backend.mustDue(t, m.storage, "trend"))
}

func (b *backend) mustDue(t *testing.T, storage logical.Storage, config string) []string {
	t.Helper()
	ids, err := b.ledger.Due(t.Context(), storage, config)
	require.NoError(t, err)
	return ids
}

// The entries of a retired config end at the same cost each, and the config is deleted with the last one.
func TestScale_RetiredConfig_CostGrowsWithItsEntries(t *testing.T) {
	var perEntry []int
	for _, entries := range []int{50, 400} {
		m := newLargeMount(t, 0, 0)
		m.fillLedger("trend", entries, func(entry *ledger.Entry) { entry.State = ledger.StateRevoking })
		m.restart()
		_, _, err := m.request(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
		require.NoError(t, err)
		counted := storagetest.Wrap(m.storage)
		m.restartOn(counted)
		m.runPeriodic()
		require.Nil(t, m.config("trend"))
		require.Empty(t, m.ledgerOf("trend"))
		perEntry = append(perEntry, counted.Count()/entries) // the config itself costs a few operations too
	}
	require.LessOrEqual(t, perEntry[1], perEntry[0])
	require.Equal(t, 3, perEntry[1], "a read to load it, a read of its handle, a deletion")
}

// A retired config whose last credential is revoked while its ledger is being loaded is deleted by the next run.
func TestScale_LastRevocationDuringLoad_DeletesTheConfig(t *testing.T) {
	m := newLargeMount(t, 0, 0)
	leased := m.read("trend")
	_, _, err := m.request(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
	require.NoError(t, err)
	blocked, gate := storagetest.BlockNth(m.storage, 1, storagetest.List, ledger.StoragePrefix+"trend/")
	m.restartOn(blocked)
	<-gate.Reached
	require.NoError(t, m.revoke(leased))
	require.NotNil(t, m.config("trend"))
	gate.Open()
	m.runPeriodic()
	require.Nil(t, m.config("trend"))
}

func TestConfigCredentials_ManyCredentials_ArePaged(t *testing.T) {
	m := newLargeMount(t, 2500, 0)
	m.read("trend")
	path := "config/trend/credentials"
	list := func(data map[string]any) (keys []string, response *logical.Response) {
		response = m.must(logical.ListOperation, path, data)
		keys, _ = response.Data["keys"].([]string)
		return keys, response
	}
	seen := map[string]bool{}
	after, pages := "", 0
	for {
		keys, response := list(map[string]any{"after": after})
		pages++
		for _, id := range keys {
			require.False(t, seen[id])
			seen[id] = true
		}
		require.Len(t, response.Data["key_info"], len(keys))
		if len(response.Warnings) == 0 {
			break
		}
		after = keys[len(keys)-1]
		require.Contains(t, response.Warnings[0], "after="+after)
	}
	require.Equal(t, 3, pages)
	require.Len(t, seen, 2501)

	keys, _ := list(map[string]any{"limit": "7"})
	require.Len(t, keys, 7)
	keys, _ = list(map[string]any{"role": "trend"})
	require.Len(t, keys, 1)
	_, status, err := m.request(logical.ListOperation, path, map[string]any{"role": "trend", "state": "revoking"})
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, status, "Vault's answer to an empty list")
	for _, bad := range []map[string]any{{"limit": 0}, {"limit": 1001}, {"limit": -1}, {"state": "alive"}, {"statee": "live"}} {
		m.rejected(http.StatusBadRequest, logical.ListOperation, path, bad)
	}
}
