package faults

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// leader is the active node of a cluster.
func (s *cluster) leader(t *testing.T) *devserver.Node {
	t.Helper()
	leader, err := s.server.AwaitActive(t.Context())
	require.NoError(t, err)
	return leader
}

// awaitSuccessor waits until another node is active, and talks to that one from then on.
func (s *cluster) awaitSuccessor(t *testing.T, of *devserver.Node) {
	t.Helper()
	require.True(t, await(patience, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, node := range s.server.Nodes() {
			if node == of {
				continue
			}
			health, err := node.Client().Sys().HealthWithContext(ctx)
			if err == nil && !health.Sealed && !health.Standby {
				s.use(node)
				return true
			}
		}
		return false
	}), "no other node has become active")
}

func killLeader(t *testing.T, s *cluster) {
	t.Helper()
	leader := s.leader(t)
	require.NoError(t, leader.Kill())
	s.awaitSuccessor(t, leader)
	require.NoError(t, leader.Start(t.Context()))
}

// freezeLeader stops the leader and its plugin until another node has taken over.
func freezeLeader(t *testing.T, s *cluster) {
	t.Helper()
	leader := s.leader(t)
	defer freeze(t, leader)()
	s.awaitSuccessor(t, leader)
}

// freeze stops a node and its plugin as a stalled machine does. They go on when the returned function is called,
// and do not know that time has passed.
func freeze(t *testing.T, leader *devserver.Node) (thaw func()) {
	t.Helper()
	plugins, err := leader.PluginProcesses()
	require.NoError(t, err)
	frozen := append([]int{leader.PID()}, plugins...)
	signal := func(signal syscall.Signal) {
		for _, pid := range frozen {
			require.NoError(t, syscall.Kill(pid, signal))
		}
	}
	signal(syscall.SIGSTOP)
	return sync.OnceFunc(func() { signal(syscall.SIGCONT) })
}

func TestClusterUnderLoad(t *testing.T) {
	t.Parallel()
	s := newStand(t, 3, loadTTL)
	if testing.Short() {
		s.underLoad(t, loaded(), disturbance{"leader of three killed under load", 1, killLeader})
		s.drain(t)
		return
	}
	for _, d := range []disturbance{
		{"leader of three killed under load", 3, killLeader},
		{"leader of three steps down under load", 2, func(t *testing.T, s *cluster) {
			t.Helper()
			// On a busy machine it may be the one that becomes active again.
			require.NoError(t, s.leader(t).Client().Sys().StepDownWithContext(t.Context()))
		}},
		{"leader of three frozen under load", 2, freezeLeader},
	} {
		s.underLoad(t, loaded(), d)
	}
	s.drain(t)
}

// A leader that stalls in the middle of its work goes on with it after its successor has cleaned up: longer than
// the engine waits for any request to end.
func TestLeaderFrozenAtFaultPoint(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	s := newStand(t, 3, loadTTL)
	readAtSuccessor := func(t *testing.T, o *scenario) { o.mustRead(t, o.shared) }
	for _, step := range []struct {
		point string
		op    operation
		// meanwhile is what clients do at the successor.
		meanwhile func(*testing.T, *scenario)
	}{
		{"issue.reserved", readExclusive, prepareNothing},
		{"issue.issued", readExclusive, prepareNothing},
		{"issue.recorded", readExclusive, prepareNothing},
		{"share.attached", readSharedToo, readAtSuccessor},
		{"renew.begun", renew, prepareNothing},
		{"revoke.begun", revokeExclusive, prepareNothing},
		// The old leader ends what the last holder has left, and must not end what the successor has given out.
		{"revoke.detached", revokeLast, readAtSuccessor},
		{"revoke.begun", revokeLast, readAtSuccessor},
		// The old leader changes the password, or makes a key, that its successor has found not to be there.
		{"rotate.noted", rotateRoot, readAtSuccessor},
		{"rotate.rotated", rotateRoot, readAtSuccessor},
		{"rotate.stored", rotateRoot, readAtSuccessor},
	} {
		var trials []*scenario
		for _, v := range loaded() {
			if step.op.fits(v) {
				trials = append(trials, s.begin(t, "leader of three frozen at "+step.point, step.op.name, v))
			}
		}
		s.freezeLeaderAt(t, step.point, step.op, trials, step.meanwhile)
		for _, o := range trials {
			step.op.conclude(t, o)
		}
		progress("leader of three frozen at %s (%s)", step.point, step.op.name)
	}
	s.drain(t)
}

// freezeLeaderAt freezes the leader once all trials wait at a step, until its successor has settled what was due.
func (s *cluster) freezeLeaderAt(t *testing.T, point string, op operation, trials []*scenario, meanwhile func(*testing.T, *scenario)) {
	t.Helper()
	leader := s.leader(t)
	for _, o := range trials {
		op.prepare(t, o)
	}
	s.order(t, point+" hold")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var acting sync.WaitGroup
	defer acting.Wait()
	for _, o := range trials {
		acting.Go(func() { op.act(ctx, o) })
	}
	require.True(t, await(patience, func() bool { return s.held() >= len(trials) }),
		"%s, %s: %d of %d have come there", point, op.name, s.held(), len(trials))
	thaw := freeze(t, leader)
	defer thaw()
	s.awaitSuccessor(t, leader)
	s.order(t, "")
	s.awaitPlugin(t)
	for _, o := range trials {
		meanwhile(t, o)
	}
	settled := time.Now().Add(dueAfter)
	await(2*dueAfter, func() bool {
		for _, o := range trials {
			_ = s.settle(t, o.config)
		}
		return time.Now().After(settled)
	})
	thaw()
	require.True(t, await(patience, func() bool {
		health, err := leader.Client().Sys().HealthWithContext(t.Context())
		return err == nil && health.Standby
	}), "the old leader does not give in")
	s.findActive(t)
}

// dueAfter is when the engine, as built for these tests, takes an intent for abandoned.
const dueAfter = 3 * time.Second
