package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/probe"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// probePrefix is where the last report of each config's probe is stored. It is local, like the ledger.
	probePrefix = "probe/"

	// probeRoleName is the role under which the ledger has the credentials of a probe that was given no role.
	probeRoleName = "probe"

	// probeStoreTimeout bounds the storing of a report.
	probeStoreTimeout = 10 * time.Second

	// probeStopTimeout is for how long the end of the mount waits for its probes.
	probeStopTimeout = time.Second
)

// Times of a probe. With the defaults, a fault test would wait for minutes for the credential of a killed process.
var (
	probeFirstLife  = failpoint.Wait(probe.FirstLife, 10*time.Second)
	probeExpiryWait = failpoint.Wait(probe.MaxExpiryWait, time.Millisecond)
)

// runningProbe is a probe that has not ended.
type runningProbe struct {
	probe *probe.Probe
	// done is closed at its end, after its report is stored.
	done chan struct{}
	// stop ends it early. Its credentials are then left to the background work.
	stop context.CancelFunc
}

// probes holds the running probes of a mount, at most one for each config. The zero value is ready to use.
type probes struct {
	mu      sync.Mutex
	running map[string]*runningProbe
	stopped bool
}

// get returns the running probe of a config, or nil.
func (p *probes) get(config string) *runningProbe {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[config]
}

// add adds a probe. It reports false if the config has one, and after stop.
func (p *probes) add(config string, running *runningProbe) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[config] != nil || p.stopped {
		return false
	}
	if p.running == nil {
		p.running = map[string]*runningProbe{}
	}
	p.running[config] = running
	return true
}

// remove removes a probe that has ended.
func (p *probes) remove(config string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, config)
}

// stop ends all probes and refuses new ones. It waits for a second at most.
func (p *probes) stop() {
	p.mu.Lock()
	p.stopped = true
	ending := slices.Collect(maps.Values(p.running))
	p.mu.Unlock()
	timeout := time.After(probeStopTimeout)
	for _, running := range ending {
		running.stop()
	}
	for _, running := range ending {
		select {
		case <-running.done:
		case <-timeout:
			return
		}
	}
}

// startProbe begins a probe of a config on the mount's lifetime: it goes on when the request ends.
func (b *backend) startProbe(ctx context.Context, storage logical.Storage, name string, role *store.Role, req *logical.Request) (*runningProbe, error) {
	config, conn, err := b.rotator.Acquire(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	running, err := b.newProbe(storage, name, role, config, conn, req)
	if err != nil {
		conn.Release()
		return nil, err
	}
	lifetime, stop := context.WithCancel(b.serving)
	running.stop = stop
	if !b.probes.add(name, running) {
		stop()
		conn.Release()
		return nil, logical.CodedError(http.StatusConflict, "a probe of this config is running; read its report")
	}
	go func() {
		defer close(running.done)
		defer b.probes.remove(name)
		defer stop()
		_ = b.containStep("probe", func() { b.runProbe(lifetime, storage, name, config.UID, running, conn) })
	}()
	return running, nil
}

// runProbe probes a config, whose connection it releases, and stores the report.
func (b *backend) runProbe(ctx context.Context, storage logical.Storage, name, uid string, running *runningProbe, conn *pool.Conn) {
	release := sync.OnceFunc(conn.Release)
	defer release()
	// First, so that a read after a crash does not answer with an earlier report.
	b.storeProbeReport(storage, name, uid, running.probe.Snapshot())
	report := running.probe.Run(ctx)
	release() // the report does not need it
	b.storeProbeReport(storage, name, uid, report)
	b.Logger().Info("a probe has ended", "config", name, "state", report.State, "differs", report.Count(probe.VerdictDiffers))
}

// newProbe returns a probe of a config.
func (b *backend) newProbe(
	storage logical.Storage, name string, role *store.Role, config *store.Config, conn *pool.Conn, req *logical.Request,
) (*runningProbe, error) {
	by := requesterOf(req)
	trial, err := b.credentials.NewTrial(storage, lease.Request{
		RoleName: probeRoleName, Role: role, Requester: by,
		Description: fmt.Sprintf("Vault mount %s, probe of config %s", req.MountPoint, name),
	}, config, conn)
	if err != nil {
		return nil, err
	}
	return &runningProbe{done: make(chan struct{}), probe: probe.New(probe.Options{
		Vendor: b.providers[config.Vendor], Connection: conn.Connection, Clock: b.clock,
		Check: func(ctx context.Context) (*provider.CheckResult, error) {
			checked, _, err := b.credentials.Check(ctx, storage, name, config, by, func(ctx context.Context) (*provider.CheckResult, error) {
				return b.pool.Check(ctx, conn, config.Vendor)
			})
			return checked, err
		},
		Issuer: probeIssuer{b, storage, name, trial}, Call: trial.Call, Yield: conn.YieldRequested,
		FirstLife: probeFirstLife, MaxExpiryWait: probeExpiryWait, Performed: passProbeStep,
	})}, nil
}

// passProbeStep passes the failpoint of a step that has left something at the vendor, or has ended it.
func passProbeStep(step string) {
	switch step {
	case provider.StepIssue:
		failpoint.Hit("probe.issued")
	case provider.StepSecond:
		failpoint.Hit("probe.second_issued")
	case provider.StepRenew:
		failpoint.Hit("probe.renewed")
	case provider.StepRevoke:
		failpoint.Hit("probe.revoked")
	}
}

// probeIssuer is the [probe.Issuer] of a config: the ledger has each of its credentials.
type probeIssuer struct {
	backend *backend
	storage logical.Storage
	config  string
	trial   *lease.Trial
}

// Issue implements [probe.Issuer].
func (i probeIssuer) Issue(ctx context.Context, life time.Duration) (*probe.Issued, error) {
	issued, err := i.trial.Issue(ctx, life)
	if _, full := errors.AsType[*ledger.LimitError](err); full {
		return nil, fmt.Errorf("%w: %w", probe.ErrNoSlot, err)
	}
	if err != nil {
		return nil, err
	}
	return &probe.Issued{ID: issued.ID, Marker: issued.Marker, Credential: issued.Credential, Requested: issued.Requested}, nil
}

// End implements [probe.Issuer].
func (i probeIssuer) End(ctx context.Context, issued *probe.Issued) error {
	drained, err := i.trial.End(ctx, issued.ID)
	if drained {
		i.backend.deleteRetired(i.storage, i.config)
	}
	return err
}

// storeProbeReport stores the report of a probe of the config with that UID in place of the last one. A failure loses
// only the report.
func (b *backend) storeProbeReport(storage logical.Storage, name, uid string, report probe.Report) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.lifetime), probeStoreTimeout)
	defer cancel()
	if !b.isProbed(ctx, storage, name, uid) {
		return
	}
	stored, err := logical.StorageEntryJSON(probePrefix+name, report)
	if err == nil {
		err = storage.Put(ctx, stored)
	}
	if err == nil && !b.isProbed(ctx, storage, name, uid) {
		err = deleteProbeReport(ctx, storage, name) // the deletion may have been before the report was stored
	}
	if err != nil {
		b.Logger().Warn("the report of a probe could not be stored", "config", name, "error", err)
	}
}

// isProbed reports whether a config is the one that was probed. It may have been deleted with the probe's last credential,
// and another one may have its name.
func (b *backend) isProbed(ctx context.Context, storage logical.Storage, name, uid string) bool {
	config, err := b.store.Config(ctx, storage, name)
	return err != nil || config != nil && config.UID == uid
}

// lastProbe returns the report of the running or the last probe of a config, or nil.
func (b *backend) lastProbe(ctx context.Context, storage logical.Storage, name string) (*probe.Report, error) {
	if running := b.probes.get(name); running != nil {
		return new(running.probe.Snapshot()), nil
	}
	report, err := readProbeReport(ctx, storage, name)
	if err != nil || report == nil || report.State != probe.StateRunning {
		return report, err
	}
	if running := b.probes.get(name); running != nil { // it has begun since the first look
		return new(running.probe.Snapshot()), nil
	}
	return new(report.Abandoned()), nil
}

// readProbeReport reads the last report of a config. It returns nil without one.
func readProbeReport(ctx context.Context, storage logical.Storage, name string) (*probe.Report, error) {
	stored, err := storage.Get(ctx, probePrefix+name)
	if err != nil || stored == nil {
		return nil, err
	}
	var report probe.Report
	if err := stored.DecodeJSON(&report); err != nil {
		return nil, fmt.Errorf("decoding the report of a probe: %w", err)
	}
	return &report, nil
}

// deleteProbeReport deletes the report of a config that is deleted.
func deleteProbeReport(ctx context.Context, storage logical.Storage, name string) error {
	if err := storage.Delete(ctx, probePrefix+name); err != nil {
		return fmt.Errorf("deleting the report of a probe: %w", err)
	}
	return nil
}
