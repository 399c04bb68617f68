package faults

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// operation is a client's request that passes failpoints.
type operation struct {
	name string
	// fits reports whether a target has this operation.
	fits func(target) bool
	// prepare creates what the request needs.
	prepare func(*testing.T, *scenario)
	// act sends the request. It may fail or succeed: Vault retries a request whose plugin has ended.
	act func(context.Context, *scenario)
	// everywhere is true if the operation runs at every vendor with -short too.
	everywhere bool
	// verify makes further checks after the fault, before the ledger is compared. Optional.
	verify func(*testing.T, *scenario)
}

// conclude checks the state after a fault.
func (op operation) conclude(t *testing.T, sc *scenario) {
	t.Helper()
	if op.verify != nil {
		op.verify(t, sc)
	}
	sc.conclude(t)
}

func always(target) bool { return true }

// prepareNothing is the preparation of an operation that needs nothing.
func prepareNothing(*testing.T, *scenario) {}

func prepareExclusive(t *testing.T, sc *scenario) { sc.mustRead(t, sc.role) }
func prepareShared(t *testing.T, sc *scenario)    { sc.mustRead(t, sc.shared) }

// forHeld calls act for each lease that the scenario holds.
func (sc *scenario) forHeld(ctx context.Context, act func(ctx context.Context, id string) error) {
	for _, id := range sc.held() {
		_ = act(ctx, id)
	}
}

func revokeHeld(ctx context.Context, sc *scenario) {
	sc.forHeld(ctx, func(ctx context.Context, id string) error { return sc.revoke(ctx, sc.vault(), id) })
}

func renewHeld(ctx context.Context, sc *scenario) {
	sc.forHeld(ctx, func(ctx context.Context, id string) error { return sc.renew(ctx, sc.vault(), id) })
}

// loseAnswer issues a credential whose answer is lost.
func loseAnswer(t *testing.T, sc *scenario) {
	t.Helper()
	require.NoError(t, sc.server.Control().AddFault(t.Context(), devserver.Fault{
		Vendor: sc.target.Name, Route: sc.target.Operations.Issue, DropAfter: true, Times: 1,
	}))
	_, err := sc.read(t.Context(), sc.vault(), sc.role)
	require.Error(t, err)
}

var (
	readExclusive = operation{name: "read", fits: always, prepare: prepareNothing, act: func(ctx context.Context, sc *scenario) {
		_, _ = sc.read(ctx, sc.vault(), sc.role)
	}}
	readShared = operation{name: "first shared read", fits: always, prepare: prepareNothing, act: func(ctx context.Context, sc *scenario) {
		_, _ = sc.read(ctx, sc.vault(), sc.shared)
	}}
	readSharedAgain = operation{name: "further shared read", fits: always, prepare: prepareShared, act: readShared.act}
	renew           = operation{name: "renew", fits: target.Renewable, prepare: prepareExclusive, act: renewHeld}
	// renewShared passes the confirmation of the shared credential, which is used for a short time only in this build.
	renewShared     = operation{name: "renew a shared lease", fits: target.Renewable, prepare: prepareShared, act: renewHeld}
	revokeExclusive = operation{name: "revoke", fits: target.revocable, prepare: prepareExclusive, act: revokeHeld}
	revokeLast      = operation{name: "revoke, last holder", fits: target.revocable, prepare: prepareShared, act: revokeHeld}
	detachLast      = operation{name: "revoke, last holder", fits: always, prepare: prepareShared, act: revokeHeld}
	// revokeLost revokes the credential of a lost answer, by its marker.
	revokeLost = operation{name: "clean up a lost answer", fits: func(v target) bool { return v.Marked }, prepare: loseAnswer, act: func(ctx context.Context, sc *scenario) {
		_, _ = sc.vault().Logical().WriteWithContext(ctx, sc.path("config/%s/tidy", sc.config), nil)
	}}
)

// failpoints are the engine's failpoints, with the operations that pass them.
var failpoints = []struct {
	name       string
	operations []operation
}{
	{"issue.reserved", []operation{readExclusive, readShared}},
	{"issue.issued", []operation{readExclusive, readShared}},
	{"issue.recorded", []operation{readExclusive, readShared}},
	{"share.attached", []operation{readShared, readSharedAgain}},
	{"share.confirm", []operation{renewShared}},
	{"renew.begun", []operation{renew}},
	{"renew.renewed", []operation{renew}},
	{"revoke.begun", []operation{revokeExclusive, revokeLast, revokeLost}},
	{"revoke.revoked", []operation{revokeExclusive, revokeLast, revokeLost}},
	{"revoke.detached", []operation{detachLast}},
	{"probe.issued", []operation{probeProduct}},
	{"probe.second_issued", []operation{probeProduct}},
	{"probe.renewed", []operation{probeRenewable}},
	{"probe.revoked", []operation{probeRevocable}},
	{"bootstrap.noted", []operation{bootstrapRoot}},
	{"bootstrap.made", []operation{bootstrapRoot}},
	{"rotate.noted", []operation{rotateRoot}},
	{"rotate.rotated", []operation{rotateRoot}},
	{"rotate.stored", []operation{rotateRoot}},
	{"rotate.ended", []operation{rotateCreatedRoot}},
	{"delete.root_revoked", []operation{deleteCreatedRoot}},
}

// failpointCall matches a call that marks a failpoint in the engine's source, of this package or of another one.
var failpointCall = regexp.MustCompile(`\bfailpoint(?:\.[A-Z]\w*)?\("([^"]+)"\)`)

func TestFailpoints_InTheSource_AreAllTested(t *testing.T) {
	var inSource, tested []string
	require.NoError(t, filepath.WalkDir("../../backend", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, call := range failpointCall.FindAllStringSubmatch(string(source), -1) {
			inSource = append(inSource, call[1])
		}
		return err
	}))
	for _, failpoint := range failpoints {
		tested = append(tested, failpoint.name)
	}
	slices.Sort(inSource)
	require.NotEmpty(t, inSource)
	require.ElementsMatch(t, slices.Compact(inSource), tested)
}

// failpointTargets are the targets whose plugin is killed at each failpoint that an operation passes.
func failpointTargets(op operation) []target {
	if testing.Short() && !op.everywhere {
		return labeled("ftd", "trend")
	}
	return targets()
}

func TestPlugin_KilledAtFailpoint_LosesNothing(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 1, 8*time.Second)
	for _, failpoint := range failpoints {
		for _, op := range failpoint.operations {
			for _, v := range failpointTargets(op) {
				if !op.fits(v) {
					continue
				}
				sc := cl.begin(t, "plugin killed at "+failpoint.name, op.name, v)
				op.prepare(t, sc)
				cl.armFailpoint(t, failpoint.name)
				op.act(t.Context(), sc)
				require.True(t, cl.fired(), "%s: the request did not reach the failpoint", sc)
				cl.awaitPlugin(t)
				op.conclude(t, sc)
			}
		}
		progress("plugin killed at %s", failpoint.name)
	}
	cl.drain(t)
}

// A power cut kills Vault and the plugin at once, and Vault retries nothing.
func TestVault_KilledAtFailpoint_LosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short, Vault is killed under load only")
	}
	t.Parallel()
	cl := newCluster(t, 1, 15*time.Second)
	for _, failpoint := range failpoints {
		for _, op := range failpoint.operations {
			var scenarios []*scenario
			for _, v := range targets() {
				if op.fits(v) {
					scenarios = append(scenarios, cl.begin(t, "Vault killed at "+failpoint.name, op.name, v))
				}
			}
			cl.killVaultAt(t, failpoint.name, op, scenarios)
			for _, sc := range scenarios {
				op.conclude(t, sc)
			}
		}
		progress("Vault killed at %s", failpoint.name)
	}
	cl.drain(t)
}

// killVaultAt kills Vault when the requests of all scenarios wait at a failpoint, and starts it again.
func (cl *cluster) killVaultAt(t *testing.T, failpoint string, op operation, scenarios []*scenario) {
	t.Helper()
	for _, sc := range scenarios {
		op.prepare(t, sc)
	}
	cl.armHold(t, failpoint)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, sc := range scenarios {
		go op.act(ctx, sc)
	}
	cl.awaitWaiting(t, len(scenarios), failpoint, op)
	require.NoError(t, cl.server.KillVault())
	cl.disarm(t)
	require.NoError(t, cl.server.RestartVault(t.Context()))
	cl.awaitPlugin(t)
}
