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

// leader returns the active node of a cluster.
func (cl *cluster) leader(t *testing.T) *devserver.Node {
	t.Helper()
	leader, err := cl.server.AwaitActive(t.Context())
	require.NoError(t, err)
	return leader
}

// awaitSuccessor waits until a node other than leader is active, and sends requests to it from then on.
func (cl *cluster) awaitSuccessor(t *testing.T, leader *devserver.Node) {
	t.Helper()
	require.True(t, await(recoveryTimeout, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, node := range cl.server.Nodes() {
			if node == leader {
				continue
			}
			health, err := node.Client().Sys().HealthWithContext(ctx)
			if err == nil && !health.Sealed && !health.Standby {
				cl.use(node)
				return true
			}
		}
		return false
	}), "no other node has become active")
}

// killLeader kills the leader, waits for its successor, and starts the old leader again.
func killLeader(t *testing.T, cl *cluster) {
	t.Helper()
	leader := cl.leader(t)
	require.NoError(t, leader.Kill())
	cl.awaitSuccessor(t, leader)
	require.NoError(t, leader.Start(t.Context()))
}

// stepDownLeader makes the leader step down. On a busy machine the same node may become active again.
func stepDownLeader(t *testing.T, cl *cluster) {
	t.Helper()
	require.NoError(t, cl.leader(t).Client().Sys().StepDownWithContext(t.Context()))
}

// freezeLeader suspends the leader and its plugin until another node is active.
func freezeLeader(t *testing.T, cl *cluster) {
	t.Helper()
	leader := cl.leader(t)
	defer freeze(t, leader)()
	cl.awaitSuccessor(t, leader)
}

// freeze suspends a node and its plugin, as a stalled machine does. The returned function resumes them; they do not
// notice that time has passed.
func freeze(t *testing.T, leader *devserver.Node) (resume func()) {
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

func TestCluster_LeaderLostUnderLoad_LosesNothing(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 3, loadTTL)
	if testing.Short() {
		cl.underLoad(t, loadTargets(), disturbance{"leader of three killed under load", 1, killLeader})
		cl.drain(t)
		return
	}
	for _, d := range []disturbance{
		{"leader of three killed under load", 3, killLeader},
		{"leader of three steps down under load", 2, stepDownLeader},
		{"leader of three frozen under load", 2, freezeLeader},
	} {
		cl.underLoad(t, loadTargets(), d)
	}
	cl.drain(t)
}

// A leader that stalls in the middle of a request continues after its successor has cleaned up: the pause is longer
// than the engine waits for any request to end.
func TestLeader_FrozenAtFailpoint_LosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	cl := newCluster(t, 3, loadTTL)
	readAtSuccessor := func(t *testing.T, sc *scenario) { sc.mustRead(t, sc.shared) }
	for _, step := range []struct {
		failpoint string
		op        operation
		// atSuccessor is what clients do at the successor while the old leader is frozen.
		atSuccessor func(*testing.T, *scenario)
	}{
		{"issue.reserved", readExclusive, prepareNothing},
		{"issue.issued", readExclusive, prepareNothing},
		{"issue.recorded", readExclusive, prepareNothing},
		{"share.attached", readSharedAgain, readAtSuccessor},
		{"renew.begun", renew, prepareNothing},
		{"revoke.begun", revokeExclusive, prepareNothing},
		// The old leader revokes the credential that its last holder has left. It must not revoke the one that the
		// successor has issued.
		{"revoke.detached", revokeLast, readAtSuccessor},
		{"revoke.begun", revokeLast, readAtSuccessor},
		// The old leader changes the password, or creates the key, after its successor found that it had not done so.
		{"rotate.noted", rotateRoot, readAtSuccessor},
		{"rotate.rotated", rotateRoot, readAtSuccessor},
		{"rotate.stored", rotateRoot, readAtSuccessor},
	} {
		var scenarios []*scenario
		for _, v := range loadTargets() {
			if step.op.fits(v) {
				scenarios = append(scenarios, cl.begin(t, "leader of three frozen at "+step.failpoint, step.op.name, v))
			}
		}
		cl.freezeLeaderAt(t, step.failpoint, step.op, scenarios, step.atSuccessor)
		for _, sc := range scenarios {
			step.op.conclude(t, sc)
		}
		progress("leader of three frozen at %s (%s)", step.failpoint, step.op.name)
	}
	cl.drain(t)
}

// freezeLeaderAt freezes the leader when the requests of all scenarios wait at a failpoint, until its successor has
// swept the intents that are due.
func (cl *cluster) freezeLeaderAt(t *testing.T, failpoint string, op operation, scenarios []*scenario, atSuccessor func(*testing.T, *scenario)) {
	t.Helper()
	leader := cl.leader(t)
	for _, sc := range scenarios {
		op.prepare(t, sc)
	}
	cl.armHold(t, failpoint)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var acting sync.WaitGroup
	defer acting.Wait()
	for _, sc := range scenarios {
		acting.Go(func() { op.act(ctx, sc) })
	}
	cl.awaitWaiting(t, len(scenarios), failpoint, op)
	resume := freeze(t, leader)
	defer resume()
	cl.awaitSuccessor(t, leader)
	cl.disarm(t)
	cl.awaitPlugin(t)
	for _, sc := range scenarios {
		atSuccessor(t, sc)
	}
	swept := time.Now().Add(intentTimeout)
	await(2*intentTimeout, func() bool {
		for _, sc := range scenarios {
			_ = cl.tidy(t, sc.config)
		}
		return time.Now().After(swept)
	})
	resume()
	require.True(t, await(recoveryTimeout, func() bool {
		health, err := leader.Client().Sys().HealthWithContext(t.Context())
		return err == nil && health.Standby
	}), "the old leader does not become a standby")
	cl.findActive(t)
}

// intentTimeout is the age at which the engine, as built for these tests, treats an intent as abandoned.
const intentTimeout = 3 * time.Second
