package probe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// reportVersion is the schema version of a stored report.
const reportVersion = 1

// State is how far a probe has come.
type State string

const (
	// StateRunning: the probe has not ended.
	StateRunning State = "running"
	// StateComplete: all steps that apply were made.
	StateComplete State = "complete"
	// StateInterrupted: the probe ended before its last step; the notes say why.
	StateInterrupted State = "interrupted"
)

// Verdict compares an observation with the contract.
type Verdict string

const (
	// VerdictAgrees: the product did what the contract says.
	VerdictAgrees Verdict = "agrees"
	// VerdictDiffers: the product did something else.
	VerdictDiffers Verdict = "differs"
	// VerdictSettled: the contract does not say what the product does, and the probe has shown it.
	VerdictSettled Verdict = "settled"
	// VerdictNotObserved: the step was made, and has not shown the fact.
	VerdictNotObserved Verdict = "not_observed"
	// VerdictSkipped: the step was not made.
	VerdictSkipped Verdict = "skipped"
)

// Row is one row of a report: a step, or a fact that was observed in it.
type Row struct {
	// Step is the step's name. Fact is the name of the fact; empty for the row of the step itself.
	Step string `json:"step"`
	Fact string `json:"fact,omitempty"`
	// Contract is what the engine or the sources say, and Status how well that is known; empty for a step.
	Contract string              `json:"contract"`
	Status   provider.FactStatus `json:"status,omitempty"`
	// Observed is what the product did.
	Observed string `json:"observed"`
	// LatencyMS is how long the step took, in milliseconds; zero for a fact.
	LatencyMS int64 `json:"latency_ms"`
	// Verdict compares Observed with Contract.
	Verdict Verdict `json:"verdict"`
	// Answers describe the vendor's answers in the step.
	Answers []string `json:"answers,omitempty"`
}

// Report is what a probe has found. It holds no secret.
type Report struct {
	// Version is the schema version.
	Version int `json:"version"`
	// State is how far the probe has come.
	State State `json:"state"`
	// Vendor is the vendor's name, and Product what the product says of itself, such as its version.
	Vendor  string `json:"vendor"`
	Product string `json:"product,omitempty"`
	// StartedAt and EndedAt are the times of the probe, in UTC. EndedAt is zero while it runs.
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	// Rows are the table.
	Rows []Row `json:"rows"`
	// Notes are remarks for the operator.
	Notes []string `json:"notes,omitempty"`
}

// clone returns a copy that shares nothing which changes.
func (r Report) clone() Report {
	r.Rows, r.Notes = slices.Clone(r.Rows), slices.Clone(r.Notes)
	return r
}

// Abandoned returns a report that says running of a probe whose process has ended, as one that was interrupted.
func (r Report) Abandoned() Report {
	r = r.clone()
	r.State = StateInterrupted
	r.Notes = append(r.Notes, "the process that made this probe has ended during it, or another node has become active: "+
		"the rows were lost, and the engine ends the credentials of the probe")
	return r
}

// Count returns the number of rows with a verdict.
func (r Report) Count(verdict Verdict) (count int) {
	for _, row := range r.Rows {
		if row.Verdict == verdict {
			count++
		}
	}
	return count
}

// Text returns the report in Markdown, to paste into an issue. engine is the version of the engine.
func (r Report) Text(engine string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Probe of %s, engine %s, %s: %s\n", r.Vendor, engine, r.StartedAt.Format(time.RFC3339), r.State)
	if r.Product != "" {
		fmt.Fprintf(&text, "Product: %s\n", cell(r.Product))
	}
	text.WriteString("\n| step | contract | observed | latency_ms | verdict |\n|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		name, contract := row.Step, row.Contract
		if row.Fact != "" {
			name += ": " + row.Fact
			contract = string(row.Status) + ": " + contract
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %d | %s |\n", cell(name), cell(contract), cell(row.Observed), row.LatencyMS, row.Verdict)
	}
	for _, note := range r.Notes {
		text.WriteString("\n- " + note)
	}
	if len(r.Notes) > 0 {
		text.WriteString("\n")
	}
	text.WriteString("\nThe answers, without their content:\n\n")
	r.writeAnswers(&text)
	return text.String()
}

// writeAnswers writes each different answer once, behind the steps that got it.
func (r Report) writeAnswers(text *strings.Builder) {
	var order []string
	steps := map[string][]string{}
	for _, row := range r.Rows {
		for _, answer := range row.Answers {
			if len(steps[answer]) == 0 {
				order = append(order, answer)
			}
			if !slices.Contains(steps[answer], row.Step) {
				steps[answer] = append(steps[answer], row.Step)
			}
		}
	}
	for _, answer := range order {
		fmt.Fprintf(text, "    %s | %s\n", strings.Join(steps[answer], ", "), answer)
	}
}

// cell makes a text safe for a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", "/", "\n", " ", "\r", " ").Replace(text)
}
