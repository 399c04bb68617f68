package backend

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

var (
	modelSeed      = flag.Uint64("model.seed", 0, "seed of the first random sequence; 0 is random")
	modelSequences = flag.Int("model.sequences", 1000, "how many random sequences to run; a tenth with -short")
)

// modelSteps is how many random steps a sequence has before everything is ended.
const modelSteps = 25

// TestModel plays random sequences of everything that can happen to a config with three slots (reads, renewals,
// revocations, expiry, lost leases, lost answers, outages, failing storage, kills, rotations of the root credential) against the emulator, with a
// simple model of the leases beside. After each step, whatever is alive at the vendor is in the books, nobody
// was evicted, and each lease's credential works; in the end nothing is left.
func TestModel(t *testing.T) {
	seed, sequences := *modelSeed, *modelSequences
	if seed == 0 {
		seed = rand.Uint64()
	}
	if testing.Short() {
		sequences = max(1, sequences/10)
	}
	t.Logf("seed %d: repeat one sequence with -model.seed=<its seed> -model.sequences=1", seed)
	m := newMountOn(t, emulator.Config{Seed: seed, PlainHTTP: true})
	steps := 0
	for i := range sequences {
		play := &play{mount: m, random: rand.New(rand.NewPCG(seed+uint64(i), 0)), seed: seed + uint64(i)}
		play.run()
		steps += play.steps
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d sequences, %d steps", sequences, steps)
}

// held is a lease as the model knows it.
type held struct {
	*testLease
	marker string
	role   string
	endsAt time.Time
	// tries counts failed revocations: Vault gives up after a while.
	tries int
}

// play is one sequence.
type play struct {
	*mount
	random *rand.Rand
	seed   uint64
	leases []*held
	steps  int
	trace  []string
}

func (p *play) run() {
	p.backend.Clean(p.t.Context())
	p.vendors.Reset()
	p.clock.advance(48 * time.Hour) // beyond everything of the sequence before
	p.storage = &logical.InmemStorage{}
	p.start()
	p.must(logical.UpdateOperation, "config/ftd", p.configData("ftd", map[string]any{"ca_cert": nil, "max_retries": 0}))
	p.must(logical.UpdateOperation, "roles/own", map[string]any{"config": "ftd", "ttl": "10m", "max_ttl": "1h"})
	p.must(logical.UpdateOperation, "roles/shared", map[string]any{"config": "ftd", "ttl": "10m", "max_ttl": "1h", "sharing": "shared"})
	steps := []func(){
		p.readOwn, p.readOwn, p.readShared, p.readShared, p.revokeOne, p.revokeOne, p.renewOne, p.loseLease,
		p.answerLost, p.createRefused, p.outageWhileRevoking, p.killWhileIssuing, p.killAndRestart, p.tickOnce,
		p.passTime, p.passTime, p.rotateRoot,
	}
	for range modelSteps {
		steps[p.random.IntN(len(steps))]()
		p.expire()
		p.check()
		p.steps++
		if p.t.Failed() {
			return
		}
	}
	p.endAll()
	p.requireNoSecretLogged()
	p.resetRotatedSecrets()
}

func (p *play) note(format string, args ...any) {
	p.trace = append(p.trace, fmt.Sprintf(format, args...))
}

func (p *play) failf(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf("seed %d: %s\nafter: %s", p.seed, fmt.Sprintf(format, args...), strings.Join(p.trace, "; "))
}

func (p *play) readOwn()    { p.readRole("own") }
func (p *play) readShared() { p.readRole("shared") }

func (p *play) readRole(role string) {
	response, status, err := p.request(logical.ReadOperation, "creds/"+role, nil)
	p.note("read %s: %d", role, status)
	if err != nil {
		// After a login whose answer was lost in an outage, the driver leaves the device alone for a while.
		if status != http.StatusConflict && status != http.StatusServiceUnavailable {
			p.failf("reading %s: %v", role, err)
		}
		return
	}
	l := p.leaseOf(response)
	p.leases = append(p.leases, &held{
		testLease: l, role: role, marker: l.data["subject"].(string), endsAt: p.clock.Now().Add(l.secret.TTL),
	})
}

func (p *play) pick() *held {
	if len(p.leases) == 0 {
		return nil
	}
	return p.leases[p.random.IntN(len(p.leases))]
}

func (p *play) drop(l *held) {
	for i := range p.leases {
		if p.leases[i] == l {
			p.leases = append(p.leases[:i], p.leases[i+1:]...)
			return
		}
	}
}

// endLease revokes as Vault does: until it succeeds, or up to six times.
func (p *play) endLease(l *held) {
	err := p.revoke(l.testLease)
	p.note("revoke %s: %v", l.marker, err)
	l.tries++
	if err == nil || l.tries >= 6 {
		p.drop(l)
	}
}

func (p *play) revokeOne() {
	if l := p.pick(); l != nil {
		p.endLease(l)
	}
}

func (p *play) renewOne() {
	l := p.pick()
	if l == nil || l.tries > 0 {
		return
	}
	response, err := p.renew(l.testLease, 0)
	p.note("renew %s: %v", l.marker, err)
	if err != nil {
		if provider.ClassOf(err) != provider.ClassUnavailable && !strings.Contains(err.Error(), "retry in") {
			p.failf("renewing a live lease: %v", err)
		}
		return
	}
	l.endsAt = p.clock.Now().Add(response.Secret.TTL)
}

// loseLease is a crash of Vault before it stored the lease.
func (p *play) loseLease() {
	if l := p.pick(); l != nil {
		p.note("lose %s", l.marker)
		p.drop(l)
	}
}

func (p *play) answerLost() {
	p.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
	_, status, err := p.request(logical.ReadOperation, "creds/own", nil)
	p.note("answer lost: %d", status)
	if err == nil {
		p.failf("a read whose answer was lost succeeded")
	}
	p.vendors.ClearFaults("ftd")
}

func (p *play) createRefused() {
	p.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Status: http.StatusServiceUnavailable, Times: 1})
	_, status, _ := p.request(logical.ReadOperation, "creds/own", nil)
	p.note("create refused: %d", status)
	p.vendors.ClearFaults("ftd")
}

func (p *play) outageWhileRevoking() {
	l := p.pick()
	if l == nil {
		return
	}
	fault := emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true}
	if p.random.IntN(2) == 0 {
		fault = emulator.Fault{Vendor: "ftd", Route: "revoke_token", DropAfter: true}
	}
	p.fault(fault)
	p.endLease(l)
	p.runPeriodic()
	p.vendors.ClearFaults("ftd")
}

// killWhileIssuing is a kill of the process after so many storage writes of a read.
func (p *play) killWhileIssuing() {
	p.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", DropBefore: true})
	role := []string{"own", "shared"}[p.random.IntN(2)]
	failing := &failingStorage{Storage: p.storage, failPut: 1 + p.random.IntN(3)}
	_, status, err := p.send(p.t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "creds/" + role, Storage: failing, MountPoint: "vendorauth/",
	})
	p.note("kill at write %d of reading %s: %d", failing.failPut, role, status)
	_ = err // a read that was done before that write is a lease that was lost
	p.vendors.ClearFaults("ftd")
	p.restart()
}

// rotateRoot changes the password, whose answer may be lost, and the process may be killed after so many writes.
func (p *play) rotateRoot() {
	storage := logical.Storage(p.storage)
	disturbance := p.random.IntN(5)
	switch disturbance {
	case 0:
		p.fault(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true, Times: 1})
	case 1:
		p.fault(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropBefore: true, Times: 1})
	case 2:
		storage = &failingStorage{Storage: p.storage, failPut: 1 + p.random.IntN(5)}
	}
	_, status, _ := p.send(p.t.Context(), &logical.Request{
		Operation: logical.UpdateOperation, Path: "config/ftd/rotate-root", Storage: storage, MountPoint: "vendorauth/",
	})
	p.note("rotate, disturbance %d: %d", disturbance, status)
	p.vendors.ClearFaults("ftd")
	if disturbance == 2 {
		p.restart()
	}
	p.rememberRotatedSecrets("ftd")
	p.runPeriodic() // which finds out what an interrupted one has done
	// What the device ends with the password is lost to its holders, who are told so when they renew.
	alive := map[string]bool{}
	for _, credential := range p.leased("ftd") {
		alive[credential.Marker] = true
	}
	for _, l := range append([]*held(nil), p.leases...) {
		if !alive[l.marker] {
			p.endLease(l)
		}
	}
}

func (p *play) killAndRestart() {
	p.note("kill")
	p.restart()
}

func (p *play) tickOnce() {
	p.note("tick")
	p.runPeriodic()
}

func (p *play) passTime() {
	d := time.Duration(p.random.IntN(12)+1) * time.Minute
	p.note("%s pass", d)
	p.clock.advance(d)
}

// expire revokes the leases whose time has come, as Vault does, and forgets what has expired at the vendor.
func (p *play) expire() {
	for _, l := range append([]*held(nil), p.leases...) {
		if l.tries > 0 || !p.clock.Now().Before(l.endsAt) {
			p.endLease(l)
		}
	}
}

func (p *play) check() {
	p.t.Helper()
	entries, err := p.backend.ledger.List(p.t.Context(), p.storage, "ftd")
	require.NoError(p.t, err)
	booked, settled := map[string]bool{}, true
	counted := 0
	for i := range entries {
		booked[entries[i].Marker] = true
		settled = settled && entries[i].State == ledger.StateLive
		if p.clock.Now().Before(entries[i].ExpiresAt.Add(-time.Minute)) {
			counted++
		} else {
			settled = false // at its end the two clocks' margins differ
		}
	}
	alive := map[string]bool{}
	for _, credential := range p.vendors.Credentials("ftd") {
		if credential.EndedBy == "evicted" {
			p.failf("%s %s was evicted", credential.Kind, credential.Marker)
		}
		if credential.Live && credential.Kind == "leased" {
			alive[credential.Marker] = true
			if !booked[credential.Marker] {
				p.failf("%s is alive and nobody knows of it", credential.Marker)
			}
		}
	}
	if settled && counted != len(alive) {
		p.failf("the ledger counts %d and the vendor %d", counted, len(alive))
	}
	if len(alive) > 3 {
		p.failf("%d alive in three slots", len(alive))
	}
	for _, l := range p.leases {
		if l.tries == 0 && !alive[l.marker] {
			p.failf("the lease of %s outlives its credential", l.marker)
		}
	}
}

// endAll ends every lease and lets time pass: nothing may be left.
func (p *play) endAll() {
	for range 6 {
		for _, l := range append([]*held(nil), p.leases...) {
			p.endLease(l)
		}
	}
	for range 8 {
		p.clock.advance(lease.LostLeaseGrace)
		p.runPeriodic()
	}
	if left := p.leased("ftd"); len(left) > 0 {
		p.failf("in the end %d credentials are left", len(left))
	}
	if left := p.ledgerOf("ftd"); len(left) > 0 {
		p.failf("in the end %d ledger entries are left", len(left))
	}
	if left, err := p.storage.List(p.t.Context(), "holder/"); err != nil || len(left) > 0 {
		p.failf("in the end the holders of %d credentials are left, %v", len(left), err)
	}
}
