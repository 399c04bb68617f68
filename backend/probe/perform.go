package probe

import (
	"context"
	"errors"
	"slices"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// perform performs a step and adds its rows to the report. It reports false when the probe cannot continue.
func (r *run) perform(ctx context.Context, step step) bool {
	row := Row{Step: step.name, Contract: step.contract, Status: "", Verdict: VerdictSkipped}
	if step.skip != nil {
		if reason := step.skip(r); reason != "" {
			row.Observed = reason
			r.add(row, nil)
			return true
		}
	}
	log := &provider.AnswerLog{}
	began := r.options.Clock.Now()
	shown, err := provider.CatchPanic("probe: "+step.name, func() (result, error) {
		return step.act(r, provider.WithAnswerLog(ctx, log))
	})
	latency := r.options.Clock.Now().Sub(began) - shown.waited
	answers := log.Answers()
	if skipped, ok := errors.AsType[*skippedError](err); ok {
		row.Observed = skipped.reason
		r.add(row, answers)
		return true
	}
	row.LatencyMS = latency.Milliseconds()
	row.Observed, row.Verdict = shown.outcome, VerdictAgrees
	if err != nil {
		row.Observed = outcomeOf(err)
	}
	switch {
	case len(step.expected) == 0 && err == nil:
		row.Verdict = VerdictSettled
	case !slices.Contains(step.expected, row.Observed):
		row.Verdict = VerdictDiffers
	}
	r.add(row, answers)
	r.addFacts(step.name, provider.Observation{
		Answers: answers, Requested: shown.requested, Granted: shown.granted, Inspected: shown.inspected,
	})
	r.options.Performed(step.name)
	return err == nil || !step.essential
}

// outcomeOf returns the outcome of a step that failed: the class, and nothing of the vendor's text.
func outcomeOf(err error) string {
	switch {
	case errors.Is(err, ErrNoSlot):
		return "no slot is free"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "out of time"
	}
	return provider.ClassOf(err).String()
}

// ErrNoSlot is returned by an [Issuer] when the config has no free slot.
var ErrNoSlot = errors.New("no slot is free")

// addFacts adds a row for each fact of a step.
func (p *Probe) addFacts(step string, seen provider.Observation) {
	for _, fact := range p.facts[step] {
		row := Row{Step: step, Fact: fact.Name, Contract: fact.Contract, Status: fact.Status, Observed: fact.Observe(seen)}
		row.Verdict = verdictOf(fact, row.Observed)
		p.add(row, nil)
	}
}

// verdictOf compares an observation with a fact.
func verdictOf(fact provider.Fact, observed string) Verdict {
	switch {
	case observed == "":
		return VerdictNotObserved
	case fact.Status == provider.FactUnknown:
		return VerdictSettled
	case slices.Contains(fact.Expected, observed):
		return VerdictAgrees
	}
	return VerdictDiffers
}

// add adds a row, and the answers that belong to it.
func (p *Probe) add(row Row, answers []provider.Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, answer := range answers {
		row.Answers = append(row.Answers, answer.String())
	}
	p.report.Rows = append(p.report.Rows, row)
}
