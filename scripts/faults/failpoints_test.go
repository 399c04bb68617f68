package faults

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// operation is something that a client does, and that comes past failpoints.
type operation struct {
	name string
	// fits tells whether a vendor's credentials know it.
	fits func(vendor) bool
	// prepare does what has to have happened before.
	prepare func(*testing.T, *scenario)
	// act does it. Its failure is no surprise, nor its success: Vault repeats a request whose plugin has died.
	act func(context.Context, *scenario)
	// settled demands more of what is left after the fault than that the books are right. Optional.
	settled func(*testing.T, *scenario)
}

// conclude compares the books after a fault befell an operation.
func (op operation) conclude(t *testing.T, o *scenario) {
	t.Helper()
	if op.settled != nil {
		op.settled(t, o)
	}
	o.conclude(t)
}

func every(vendor) bool       { return true }
func renewable(v vendor) bool { return v.renewable }
func revoking(v vendor) bool  { return v.revoking }

func prepareNothing(*testing.T, *scenario) {}

func (o *scenario) actOnHeld(ctx context.Context, act func(context.Context, string) error) {
	for _, id := range o.held() {
		_ = act(ctx, id)
	}
}

func revokeHeld(ctx context.Context, o *scenario) {
	o.actOnHeld(ctx, func(ctx context.Context, id string) error { return o.revoke(ctx, o.vault(), id) })
}

var (
	readExclusive = operation{name: "read", fits: every, prepare: prepareNothing, act: func(ctx context.Context, o *scenario) {
		_, _ = o.read(ctx, o.vault(), o.role)
	}}
	readShared = operation{name: "first shared read", fits: every, prepare: prepareNothing, act: func(ctx context.Context, o *scenario) {
		_, _ = o.read(ctx, o.vault(), o.shared)
	}}
	readSharedToo = operation{name: "further shared read", fits: every, prepare: func(t *testing.T, o *scenario) { o.mustRead(t, o.shared) }, act: readShared.act}
	renew         = operation{name: "renew", fits: renewable, prepare: func(t *testing.T, o *scenario) { o.mustRead(t, o.role) }, act: func(ctx context.Context, o *scenario) {
		o.actOnHeld(ctx, func(ctx context.Context, id string) error { return o.renew(ctx, o.vault(), id) })
	}}
	revokeExclusive = operation{name: "revoke", fits: revoking, prepare: func(t *testing.T, o *scenario) { o.mustRead(t, o.role) }, act: revokeHeld}
	revokeLast      = operation{name: "revoke, last holder", fits: revoking, prepare: func(t *testing.T, o *scenario) { o.mustRead(t, o.shared) }, act: revokeHeld}
	detachLast      = operation{name: "revoke, last holder", fits: every, prepare: revokeLast.prepare, act: revokeHeld}
	// settleLost ends what a lost answer has made.
	settleLost = operation{name: "clean up a lost answer", fits: func(v vendor) bool { return v.marked }, prepare: func(t *testing.T, o *scenario) {
		control := o.server.Control()
		require.NoError(t, control.AddFault(t.Context(), devserver.Fault{Vendor: o.vendor.emulated, Route: o.vendor.issue, DropAfter: true, Times: 1}))
		_, err := o.read(t.Context(), o.vault(), o.role)
		require.Error(t, err)
	}, act: func(ctx context.Context, o *scenario) {
		_, _ = o.vault().Logical().WriteWithContext(ctx, o.at("config/%s/tidy", o.config), nil)
	}}
)

// points are the engine's failpoints, with the operations that come past them.
var points = []struct {
	name       string
	operations []operation
}{
	{"issue.reserved", []operation{readExclusive, readShared}},
	{"issue.issued", []operation{readExclusive, readShared}},
	{"issue.recorded", []operation{readExclusive, readShared}},
	{"share.attached", []operation{readShared, readSharedToo}},
	{"renew.begun", []operation{renew}},
	{"renew.renewed", []operation{renew}},
	{"revoke.begun", []operation{revokeExclusive, revokeLast, settleLost}},
	{"revoke.revoked", []operation{revokeExclusive, revokeLast, settleLost}},
	{"revoke.detached", []operation{detachLast}},
	{"bootstrap.noted", []operation{bootstrapRoot}},
	{"bootstrap.made", []operation{bootstrapRoot}},
	{"rotate.noted", []operation{rotateRoot}},
	{"rotate.rotated", []operation{rotateRoot}},
	{"rotate.stored", []operation{rotateRoot}},
	{"rotate.ended", []operation{rotateRootByMaking}},
}

func TestFaultPoints_EachIsTested(t *testing.T) {
	files, err := filepath.Glob("../../backend/*.go")
	require.NoError(t, err)
	var inSource, tested []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, call := range regexp.MustCompile(`faultPoint\("([^"]*)"\)`).FindAllStringSubmatch(string(source), -1) {
			inSource = append(inSource, call[1])
		}
	}
	for _, point := range points {
		tested = append(tested, point.name)
	}
	slices.Sort(inSource)
	require.NotEmpty(t, inSource)
	require.ElementsMatch(t, slices.Compact(inSource), tested)
}

// atPoints are the vendors whose plugin is killed at each point.
func atPoints() []vendor {
	if testing.Short() {
		return named("ftd", "trend")
	}
	return vendors()
}

func TestPluginKilledAtEachFaultPoint(t *testing.T) {
	t.Parallel()
	s := newStand(t, 1, 8*time.Second)
	for _, point := range points {
		for _, op := range point.operations {
			for _, v := range atPoints() {
				if !op.fits(v) {
					continue
				}
				o := s.begin(t, "plugin killed at "+point.name, op.name, v)
				op.prepare(t, o)
				s.order(t, point.name)
				op.act(t.Context(), o)
				require.True(t, s.obeyed(), "%s: the step was not reached", o)
				s.awaitPlugin(t)
				op.conclude(t, o)
			}
		}
		progress("plugin killed at %s", point.name)
	}
	s.drain(t)
}

// A power cut takes Vault and plugin at once, and Vault repeats nothing.
func TestVaultKilledAtEachFaultPoint(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short, Vault is killed under load only")
	}
	t.Parallel()
	s := newStand(t, 1, 15*time.Second)
	for _, point := range points {
		for _, op := range point.operations {
			var trials []*scenario
			for _, v := range vendors() {
				if op.fits(v) {
					trials = append(trials, s.begin(t, "Vault killed at "+point.name, op.name, v))
				}
			}
			s.killVaultAt(t, point.name, op, trials)
			for _, o := range trials {
				op.conclude(t, o)
			}
		}
		progress("Vault killed at %s", point.name)
	}
	s.drain(t)
}

// killVaultAt kills Vault once all trials wait at a step, and brings it back.
func (s *cluster) killVaultAt(t *testing.T, point string, op operation, trials []*scenario) {
	t.Helper()
	for _, o := range trials {
		op.prepare(t, o)
	}
	s.order(t, point+" hold")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, o := range trials {
		go op.act(ctx, o)
	}
	require.True(t, await(patience, func() bool { return s.held() >= len(trials) }),
		"%s, %s: %d of %d have come there", point, op.name, s.held(), len(trials))
	require.NoError(t, s.server.KillVault())
	s.order(t, "")
	require.NoError(t, s.server.RestartVault(t.Context()))
	s.awaitPlugin(t)
}
