package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// growthVendor is the vendor of the growth measurement: one call issues a credential, so the engine's own cost shows.
	growthVendor = "lacework"
	// growthClients is the number of clients that read at the same time after a restart.
	growthClients = 64
	// seeders is how many clients write the entries.
	seeders = 16
)

// growthRow is what a read costs with a number of entries in the config's ledger. The config has a limit, so each
// read counts.
type growthRow struct {
	Entries int `json:"entries"`
	// FirstRead is how long the first read of another, small config took after a restart of the plugin, in milliseconds.
	FirstRead float64 `json:"first_read_ms"`
	// Served and AllServed are how many of 64 readers of the large config were served after the restart, and after how
	// many milliseconds all had an answer.
	Served    int     `json:"served"`
	AllServed float64 `json:"all_served_ms"`
	// Read is what a read costs once all entries are loaded, with 8 clients.
	Read figures `json:"read"`
	// LoadingRSS and IdleRSS are the plugin's memory in MiB, after the readers of the restart and after the reads.
	LoadingRSS float64 `json:"loading_rss_mib"`
	IdleRSS    float64 `json:"idle_rss_mib"`
}

// configRow is what a read costs with a number of configs, of which each request uses another.
type configRow struct {
	Configs int     `json:"configs"`
	Read    figures `json:"read"`
}

// measureConfigs measures exclusive reads over 1, 10 and 100 configs.
func measureConfigs(ctx context.Context, s *server, with settings) ([]configRow, error) {
	facts := vendorfacts.Named(growthVendor)
	var rows []configRow
	written := 0
	for _, configs := range []int{1, 10, 100} {
		_, _ = fmt.Fprintf(with.progress, "reads over %d configs\n", configs)
		for ; written < configs; written++ {
			name := fmt.Sprintf("many-%d", written)
			if err := s.writeConfig(ctx, facts, name, map[string]any{"verify_connection": false}); err != nil {
				return nil, err
			}
			if err := s.writeRole(ctx, name, name); err != nil {
				return nil, err
			}
		}
		var next atomic.Int64
		measured, err := s.measureReads(ctx, 8, with.duration, func() string {
			return fmt.Sprintf("%s/creds/many-%d", mountPath, int(next.Add(1))%configs)
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, configRow{Configs: configs, Read: figuresOf(measured, nil)})
	}
	return rows, nil
}

// measureGrowth measures a config whose ledger grows to a number of entries.
func measureGrowth(ctx context.Context, s *server, with settings, largest int) ([]growthRow, error) {
	facts := vendorfacts.Named(growthVendor)
	for _, name := range []string{"large", "small"} {
		if err := s.writeConfig(ctx, facts, name, map[string]any{"max_credentials": 10 * largest}); err != nil {
			return nil, err
		}
		if err := s.writeRole(ctx, name, name); err != nil {
			return nil, err
		}
	}
	var rows []growthRow
	seeded := 0
	for _, entries := range []int{1_000, 10_000, 100_000} {
		if entries > largest {
			break
		}
		if err := s.seedEntries(ctx, "large", seeded, entries, with.progress); err != nil {
			return nil, err
		}
		seeded = entries
		row, err := s.measureLedger(ctx, entries, with)
		if err != nil {
			return nil, fmt.Errorf("with %d entries: %w", entries, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// writeRole writes an exclusive role on a config.
func (s *server) writeRole(ctx context.Context, role, config string) error {
	_, err := s.root.Logical().WriteWithContext(ctx, mountPath+"/roles/"+role, map[string]any{"config": config, "ttl": "10m"})
	return err
}

// seedEntries copies a real entry of the config's ledger until there are as many as asked for. Issuing so many would
// take an hour, and the engine cannot tell the copies from entries of its own: only their ids and leases are invented.
func (s *server) seedEntries(ctx context.Context, config string, from, to int, progress io.Writer) error {
	_, _ = fmt.Fprintf(progress, "writing ledger entries up to %d\n", to)
	client, err := clientFor(s.root, seeders)
	if err != nil {
		return err
	}
	secret, err := client.Logical().ReadWithContext(ctx, mountPath+"/creds/"+config)
	if err != nil {
		return err
	}
	defer func() { _ = client.Sys().RevokeWithContext(context.WithoutCancel(ctx), secret.LeaseID) }()
	prefix, err := s.ledgerPrefix(ctx, config)
	if err != nil {
		return err
	}
	listed, err := client.Logical().ListWithContext(ctx, prefix)
	if err != nil {
		return err
	}
	keys, _ := listed.Data["keys"].([]any)
	if len(keys) == 0 {
		return fmt.Errorf("%s has no entry to copy", prefix)
	}
	original, err := client.Logical().ReadWithContext(ctx, prefix+fmt.Sprint(keys[len(keys)-1]))
	if err != nil {
		return err
	}
	var entry map[string]any
	if err := json.Unmarshal([]byte(original.Data["value"].(string)), &entry); err != nil {
		return err
	}
	next := atomic.Int64{}
	next.Store(int64(from))
	_, _, err = run(ctx, seeders, 0, func(ctx context.Context) (bool, error) {
		i := next.Add(1) - 1
		if i >= int64(to) {
			return false, nil
		}
		return true, putCopy(ctx, client, prefix, entry, i)
	})
	return err
}

// putCopy stores a copy of an entry under another id, which lives for a day.
func putCopy(ctx context.Context, client *api.Client, prefix string, entry map[string]any, number int64) error {
	id := "bench" + strings.NewReplacer("0", "a", "1", "b", "8", "c", "9", "d").Replace(fmt.Sprintf("%011d", number))
	copied := maps.Clone(entry)
	end := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	copied["id"], copied["expires_at"], copied["lease_expires_at"] = id, end, end
	encoded, err := json.Marshal(copied)
	if err != nil {
		return err
	}
	_, err = client.Logical().WriteWithContext(ctx, prefix+id, map[string]any{"value": string(encoded)})
	return err
}

// ledgerPrefix is where Vault's raw storage has the ledger of a config.
func (s *server) ledgerPrefix(ctx context.Context, config string) (string, error) {
	mounts, err := s.root.Sys().ListMountsWithContext(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("sys/raw/logical/%s/ledger/%s/", mounts[mountPath+"/"].UUID, config), nil
}

// measureLedger restarts the plugin and measures what readers see.
func (s *server) measureLedger(ctx context.Context, entries int, with settings) (growthRow, error) {
	_, _ = fmt.Fprintf(with.progress, "restart with %d entries\n", entries)
	row := growthRow{Entries: entries}
	if _, err := s.root.Sys().ReloadPluginWithContext(ctx, &api.ReloadPluginInput{Plugin: devserver.PluginName}); err != nil {
		return row, err
	}
	client, err := clientFor(s.root, growthClients)
	if err != nil {
		return row, err
	}
	begin := time.Now()
	var served atomic.Int64
	answered := make(chan struct{}, growthClients)
	for range growthClients {
		go func() {
			_, err := client.Logical().ReadWithContext(ctx, mountPath+"/creds/large")
			if err == nil {
				served.Add(1)
			}
			answered <- struct{}{}
		}()
	}
	if _, err := client.Logical().ReadWithContext(ctx, mountPath+"/creds/small"); err != nil {
		return row, err
	}
	row.FirstRead = milliseconds(time.Since(begin))
	for range growthClients {
		<-answered
	}
	row.Served, row.AllServed = int(served.Load()), milliseconds(time.Since(begin))
	if row.LoadingRSS, err = s.pluginMemory(); err != nil {
		return row, err
	}
	measured, err := s.measureReads(ctx, 8, with.duration, func() string { return mountPath + "/creds/large" })
	if err != nil {
		return row, err
	}
	row.Read = figuresOf(measured, nil)
	row.IdleRSS, err = s.pluginMemory()
	return row, err
}

// pluginMemory returns the plugin's memory in MiB.
func (s *server) pluginMemory() (float64, error) {
	pids, err := s.processes(true)
	if err != nil {
		return 0, err
	}
	size, err := residentBytes(pids[0])
	return mebibytes(size), err
}

// measureReads reads changing paths for a time, and revokes the leases.
func (s *server) measureReads(ctx context.Context, clients int, duration time.Duration, path func() string) (phase, error) {
	client, err := clientFor(s.root, clients)
	if err != nil {
		return phase{}, err
	}
	held := &leases{}
	var measured phase
	err = measurePhase(ctx, s, scenario{Engine: true}, clients, duration, func(ctx context.Context) (bool, error) {
		return held.read(client, path())(ctx)
	}, &measured)
	if err != nil {
		return phase{}, err
	}
	return measured, revokeAll(ctx, client, clients, held)
}
