package probe_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/probe"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// rowOf returns the row of a step or a fact.
func rowOf(t *testing.T, report probe.Report, step, fact string) probe.Row {
	t.Helper()
	for _, row := range report.Rows {
		if row.Step == step && row.Fact == fact {
			return row
		}
	}
	require.Fail(t, "no row", "%s %s", step, fact)
	return probe.Row{}
}

// vendorError is an error with a text of the vendor.
var vendorError = &provider.Error{Class: provider.ClassUnavailable, Op: "acme: x", Message: "the vendor said hunter2"}

func TestRun_WorkingProduct_EndsEverything(t *testing.T) {
	p := newProduct()
	report := p.probe(nil).Run(t.Context())
	require.Equal(t, probe.StateComplete, report.State)
	require.Zero(t, report.Count(probe.VerdictDiffers))
	for step, observed := range map[string]string{
		"login": "done", "issue": "done", "use": "accepted", "use_both": "accepted, accepted", "revoke": "done", "use_revoked": "refused",
		"expiry": "refused", "revoke_expired": "done",
	} {
		assert.Equal(t, observed, rowOf(t, report, step, "").Observed, step)
	}
	assert.Equal(t, probe.VerdictSkipped, rowOf(t, report, "renew", "").Verdict)
	assert.Zero(t, rowOf(t, report, "expiry", "").LatencyMS, "the wait is not part of the latency")
	assert.Empty(t, p.live)
}

func TestRun_RevokedCredentialWorks_Differs(t *testing.T) {
	p := newProduct()
	p.immortal = true
	report := p.probe(nil).Run(t.Context())
	row := rowOf(t, report, "use_revoked", "")
	require.Equal(t, "accepted", row.Observed)
	require.Equal(t, probe.VerdictDiffers, row.Verdict)
}

func TestRun_EssentialStepFails_IsInterrupted(t *testing.T) {
	for _, step := range []string{"login", "issue 1"} {
		p := newProduct()
		p.fail = func(failed string) error {
			if failed == step {
				return vendorError
			}
			return nil
		}
		report := p.probe(nil).Run(t.Context())
		require.Equal(t, probe.StateInterrupted, report.State)
		last := report.Rows[len(report.Rows)-1]
		require.Equal(t, "unavailable", last.Observed)
		require.Equal(t, probe.VerdictDiffers, last.Verdict)
		require.NotContains(t, report.Text("v1"), "hunter2", "no text of the vendor")
		require.Empty(t, p.live)
	}
}

func TestRun_NoSlotForSecond_SkipsItsSteps(t *testing.T) {
	p := newProduct()
	p.fail = func(step string) error {
		if step == "issue 2" {
			return probe.ErrNoSlot
		}
		return nil
	}
	report := p.probe(nil).Run(t.Context())
	require.Equal(t, probe.StateComplete, report.State)
	for _, step := range []string{"second_issue", "use_both", "expiry", "revoke_expired"} {
		require.Equal(t, probe.VerdictSkipped, rowOf(t, report, step, "").Verdict, step)
	}
}

func TestRun_DriverPanics_CredentialsAreEnded(t *testing.T) {
	p := newProduct()
	p.fail = func(step string) error {
		if step == "use" {
			panic("hunter2")
		}
		return nil
	}
	report := p.probe(nil).Run(t.Context())
	require.Equal(t, "ambiguous", rowOf(t, report, "use", "").Observed)
	require.NotContains(t, report.Text("v1"), "hunter2")
	require.Empty(t, p.live)
}

func TestRun_EndFails_IsNoted(t *testing.T) {
	p := newProduct()
	p.fail = func(step string) error {
		if step == "end" {
			return vendorError
		}
		return nil
	}
	report := p.probe(nil).Run(t.Context())
	require.Equal(t, probe.VerdictDiffers, rowOf(t, report, "revoke", "").Verdict)
	require.Equal(t, probe.VerdictSkipped, rowOf(t, report, "use_revoked", "").Verdict, "its revocation was not confirmed")
	require.Contains(t, report.Text("v1"), "credential 1 could not be ended yet")
	require.NotContains(t, report.Text("v1"), "hunter2")
}

func TestRun_Yield_EndsEarlyAndCleansUp(t *testing.T) {
	p := newProduct()
	yield := make(chan struct{})
	p.fail = func(step string) error {
		if step == "issue 2" {
			close(yield)
		}
		return nil
	}
	report := p.probe(func(options *probe.Options) { options.Yield = func() <-chan struct{} { return yield } }).Run(t.Context())
	require.Equal(t, probe.StateInterrupted, report.State)
	require.Equal(t, "second_issue", report.Rows[len(report.Rows)-1].Step)
	require.ElementsMatch(t, []string{"1", "2"}, p.ended)
}

func TestRun_ContextEnds_CallsNoMore(t *testing.T) {
	p := newProduct()
	ctx, cancel := context.WithCancel(t.Context())
	p.fail = func(step string) error {
		if step == "use" {
			cancel()
		}
		return nil
	}
	report := p.probe(nil).Run(ctx)
	require.Equal(t, probe.StateInterrupted, report.State)
	require.Empty(t, p.ended, "the issuer's records are there for what is left")
}

func TestRun_Facts_GetVerdicts(t *testing.T) {
	observe := func(text string) func(provider.Observation) string {
		return func(provider.Observation) string { return text }
	}
	p := newProduct()
	for name, fact := range map[string]provider.Fact{
		"agrees":       {Status: provider.FactConfirmed, Observe: provider.ObserveStatus("read"), Expected: []string{"200"}},
		"differs":      {Status: provider.FactInferred, Observe: observe("201"), Expected: []string{"200"}},
		"settled":      {Status: provider.FactUnknown, Observe: observe("408")},
		"not_observed": {Status: provider.FactUnknown, Observe: observe("")},
	} {
		fact.Step, fact.Name, fact.Contract = provider.StepUse, name, "a | b"
		p.facts = append(p.facts, fact)
	}
	report := p.probe(nil).Run(t.Context())
	for _, name := range []string{"agrees", "differs", "settled", "not_observed"} {
		require.Equal(t, probe.Verdict(name), rowOf(t, report, "use", name).Verdict)
	}
	require.Contains(t, report.Text("v1"), "| use: agrees | confirmed: a / b | 200 | 0 | agrees |")
	require.Contains(t, report.Text("v1"), "    use, use_both, use_revoked, expiry | acme: read: GET 200\n")
}

func TestSnapshot_WhileRunning_IsAPartOfTheReport(t *testing.T) {
	p := newProduct()
	var running *probe.Probe
	var known []int
	p.fail = func(step string) error {
		if step == "use" {
			known = append(known, len(running.Snapshot().Rows))
		}
		return nil
	}
	running = p.probe(nil)
	require.Equal(t, probe.StateRunning, running.Snapshot().State)
	running.Run(t.Context())
	require.Equal(t, 2, known[0], "the rows of login and issue")
	require.IsIncreasing(t, []int{known[0], known[1], known[len(known)-1]})
}
