package backend

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

var (
	modelSeed      = flag.Uint64("model.seed", 0, "seed of the first random sequence; 0 is random")
	modelSequences = flag.Int("model.sequences", 200, "how many random sequences to run; a tenth with -short")
)

// modelSteps is how many random steps a sequence has before everything ends.
const modelSteps = 25

// modelShards is how many mounts run the sequences at the same time.
const modelShards = 2

// TestModel_RandomSequences_LeaveNothing runs random sequences of everything that can happen to a config with three slots
// against the emulator: reads, renewals, revocations, expiry, lost leases, lost responses, outages, failing storage, kills
// and rotations of the root credential. It compares them with a simple model of the leases. After each step, every
// credential that lives at the vendor has a ledger entry, none was evicted, and the credential of each lease works. After
// the last step, everything ends and nothing remains.
func TestModel_RandomSequences_LeaveNothing(t *testing.T) {
	seed, sequences := *modelSeed, *modelSequences
	if seed == 0 {
		seed = rand.Uint64()
	}
	if testing.Short() {
		sequences = max(1, sequences/10)
	}
	t.Logf("seed %d: repeat one sequence with -model.seed=<its seed> -model.sequences=1", seed)
	for shard := range modelShards {
		t.Run(strconv.Itoa(shard), func(t *testing.T) {
			t.Parallel()
			m := newMountOn(t, emulator.Config{Seed: seed, PlainHTTP: true})
			steps := 0
			for i := shard; i < sequences; i += modelShards {
				played := &sequence{mount: m, random: rand.New(rand.NewPCG(seed+uint64(i), 0)), seed: seed + uint64(i)}
				played.run()
				steps += played.steps
				if t.Failed() {
					t.FailNow()
				}
			}
			t.Logf("%d steps", steps)
		})
	}
}

// modelLease is a lease as the model knows it.
type modelLease struct {
	*vaultLease
	marker string
	role   string
	endsAt time.Time
	// tries counts the revocations: Vault gives up after a while.
	tries int
}

// sequence is one random sequence of steps.
type sequence struct {
	*mount
	random *rand.Rand
	seed   uint64
	leases []*modelLease
	steps  int
	trace  []string
}

func (s *sequence) run() {
	s.backend.Clean(s.t.Context())
	s.vendors.Reset()
	s.clock.Advance(48 * time.Hour) // everything of the previous sequence has expired
	s.storage = &logical.InmemStorage{}
	s.start()
	s.must(logical.UpdateOperation, "config/ftd", s.configData("ftd", map[string]any{"ca_cert": nil, "max_retries": 0}))
	s.must(logical.UpdateOperation, "roles/own", map[string]any{"config": "ftd", "ttl": "10m", "max_ttl": "1h"})
	s.must(logical.UpdateOperation, "roles/shared", map[string]any{"config": "ftd", "ttl": "10m", "max_ttl": "1h", "sharing": "shared"})
	steps := []func(){
		s.readOwn, s.readOwn, s.readShared, s.readShared, s.revokeOne, s.revokeOne, s.renewOne, s.loseLease,
		s.loseResponse, s.rejectIssue, s.outageWhileRevoking, s.killWhileIssuing, s.killAndRestart, s.runPeriodicOnce,
		s.passTime, s.passTime, s.rotateRoot,
	}
	for range modelSteps {
		steps[s.random.IntN(len(steps))]()
		s.expire()
		s.check()
		s.steps++
		if s.t.Failed() {
			return
		}
	}
	s.endAll()
	s.requireNoSecretLogged()
	s.resetRotatedSecrets()
}

func (s *sequence) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func (s *sequence) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("seed %d: %s\nafter: %s", s.seed, fmt.Sprintf(format, args...), strings.Join(s.trace, "; "))
}

func (s *sequence) readOwn()    { s.readRole("own") }
func (s *sequence) readShared() { s.readRole("shared") }

func (s *sequence) readRole(role string) {
	response, status, err := s.request(logical.ReadOperation, "creds/"+role, nil)
	s.note("read %s: %d", role, status)
	if err != nil {
		// After a login whose response was lost in an outage, the driver backs off for a while.
		if status != http.StatusConflict && status != http.StatusServiceUnavailable {
			s.failf("reading %s: %v", role, err)
		}
		return
	}
	l := s.leaseOf(response)
	s.leases = append(s.leases, &modelLease{
		vaultLease: l, role: role, marker: l.data["subject"].(string), endsAt: s.clock.Now().Add(l.secret.TTL),
	})
}

func (s *sequence) pick() *modelLease {
	if len(s.leases) == 0 {
		return nil
	}
	return s.leases[s.random.IntN(len(s.leases))]
}

func (s *sequence) drop(l *modelLease) {
	s.leases = slices.DeleteFunc(s.leases, func(other *modelLease) bool { return other == l })
}

// endLease revokes as Vault does: until it succeeds, or six times at most.
func (s *sequence) endLease(l *modelLease) {
	err := s.revoke(l.vaultLease)
	s.note("revoke %s: %v", l.marker, err)
	l.tries++
	if err == nil || l.tries >= 6 {
		s.drop(l)
	}
}

func (s *sequence) revokeOne() {
	if l := s.pick(); l != nil {
		s.endLease(l)
	}
}

func (s *sequence) renewOne() {
	l := s.pick()
	if l == nil || l.tries > 0 {
		return
	}
	response, err := s.renew(l.vaultLease, 0)
	s.note("renew %s: %v", l.marker, err)
	if err != nil {
		if provider.ClassOf(err) != provider.ClassUnavailable && !strings.Contains(err.Error(), "retry in") {
			s.failf("renewing a live lease: %v", err)
		}
		return
	}
	l.endsAt = s.clock.Now().Add(response.Secret.TTL)
}

// loseLease is a crash of Vault before it stores a lease.
func (s *sequence) loseLease() {
	if l := s.pick(); l != nil {
		s.note("lose %s", l.marker)
		s.drop(l)
	}
}

func (s *sequence) loseResponse() {
	s.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
	_, status, err := s.request(logical.ReadOperation, "creds/own", nil)
	s.note("response lost: %d", status)
	if err == nil {
		s.failf("a read whose response was lost succeeded")
	}
	s.vendors.ClearFaults("ftd")
}

func (s *sequence) rejectIssue() {
	s.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Status: http.StatusServiceUnavailable, Times: 1})
	_, status, _ := s.request(logical.ReadOperation, "creds/own", nil)
	s.note("issue rejected: %d", status)
	s.vendors.ClearFaults("ftd")
}

func (s *sequence) outageWhileRevoking() {
	l := s.pick()
	if l == nil {
		return
	}
	fault := emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true}
	if s.random.IntN(2) == 0 {
		fault = emulator.Fault{Vendor: "ftd", Route: "revoke_token", DropAfter: true}
	}
	s.fault(fault)
	s.endLease(l)
	s.runPeriodic()
	s.vendors.ClearFaults("ftd")
}

// killWhileIssuing kills the process at the n-th storage write of a read.
func (s *sequence) killWhileIssuing() {
	s.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", DropBefore: true})
	role := []string{"own", "shared"}[s.random.IntN(2)]
	n := 1 + s.random.IntN(3)
	// A read that succeeds before that write is a lost lease.
	_, status, _ := s.requestOn(storagetest.FailFrom(s.storage, n, storagetest.Writes...), logical.ReadOperation, "creds/"+role, nil)
	s.note("kill at write %d of reading %s: %d", n, role, status)
	s.vendors.ClearFaults("ftd")
	s.restart()
}

// rotateRoot changes the password. The response may be lost, or the process may be killed at the n-th storage write.
func (s *sequence) rotateRoot() {
	storage := s.storage
	fault := s.random.IntN(5)
	switch fault {
	case 0:
		s.fault(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true, Times: 1})
	case 1:
		s.fault(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true, Times: 1})
	case 2:
		storage = storagetest.FailFrom(s.storage, 1+s.random.IntN(5), storagetest.Writes...)
	}
	_, status, _ := s.requestOn(storage, logical.UpdateOperation, "config/ftd/rotate-root", nil)
	s.note("rotate, fault %d: %d", fault, status)
	s.vendors.ClearFaults("ftd")
	if fault == 2 {
		s.restart()
	}
	s.rememberRotatedSecrets("ftd")
	s.runPeriodic() // resolves a rotation that was interrupted
	// The device ends credentials with the password. Their holders learn this when they renew.
	alive := map[string]bool{}
	for _, credential := range s.leased("ftd") {
		alive[credential.Marker] = true
	}
	for _, l := range slices.Clone(s.leases) {
		if !alive[l.marker] {
			s.endLease(l)
		}
	}
}

func (s *sequence) killAndRestart() {
	s.note("kill")
	s.restart()
}

func (s *sequence) runPeriodicOnce() {
	s.note("periodic run")
	s.runPeriodic()
}

func (s *sequence) passTime() {
	d := time.Duration(s.random.IntN(12)+1) * time.Minute
	s.note("%s pass", d)
	s.clock.Advance(d)
}

// expire revokes the leases that have expired, and retries failed revocations, as Vault does.
func (s *sequence) expire() {
	for _, l := range slices.Clone(s.leases) {
		if l.tries > 0 || !s.clock.Now().Before(l.endsAt) {
			s.endLease(l)
		}
	}
}

func (s *sequence) check() {
	s.t.Helper()
	entries, err := s.backend.ledger.List(s.t.Context(), s.storage, "ftd")
	require.NoError(s.t, err)
	inLedger, steady := map[string]bool{}, true
	counted := 0
	for i := range entries {
		inLedger[entries[i].Marker] = true
		steady = steady && entries[i].State == ledger.StateLive
		if s.clock.Now().Before(entries[i].ExpiresAt.Add(-time.Minute)) {
			counted++
		} else {
			steady = false // near the expiry, the margins of engine and emulator differ
		}
	}
	alive := map[string]bool{}
	for _, credential := range s.vendors.Credentials("ftd") {
		if credential.EndedBy == "evicted" {
			s.failf("%s %s was evicted", credential.Kind, credential.Marker)
		}
		if credential.Live && credential.Kind == "leased" {
			alive[credential.Marker] = true
			if !inLedger[credential.Marker] {
				s.failf("%s lives and has no ledger entry", credential.Marker)
			}
		}
	}
	if steady && counted != len(alive) {
		s.failf("the ledger counts %d and the vendor %d", counted, len(alive))
	}
	if len(alive) > 3 {
		s.failf("%d credentials live in three slots", len(alive))
	}
	for _, l := range s.leases {
		if l.tries == 0 && !alive[l.marker] {
			s.failf("the lease of %s outlives its credential", l.marker)
		}
	}
}

// endAll ends every lease and advances the clock. Nothing may remain.
func (s *sequence) endAll() {
	for range 6 {
		for _, l := range slices.Clone(s.leases) {
			s.endLease(l)
		}
	}
	for range 8 {
		s.clock.Advance(lease.LostLeaseGrace)
		s.runPeriodic()
	}
	if left := s.leased("ftd"); len(left) > 0 {
		s.failf("at the end %d credentials remain", len(left))
	}
	if left := s.ledgerOf("ftd"); len(left) > 0 {
		s.failf("at the end %d ledger entries remain", len(left))
	}
	if left, err := s.storage.List(s.t.Context(), "holder/"); err != nil || len(left) > 0 {
		s.failf("at the end %d credentials have holders, %v", len(left), err)
	}
}
