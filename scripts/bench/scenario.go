package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// scenario is one kind of lease whose cost is measured.
type scenario struct {
	// Name is unique: "null 2w1c", "trend exclusive".
	Name string `json:"name"`
	// Path is read for a lease.
	Path string `json:"path"`
	// Baseline is the scenario of the null engine that makes the same storage writes and vendor calls; empty for the null
	// engine itself and where none is equal.
	Baseline string `json:"baseline,omitempty"`
	// Engine is true for the engine, and false for the null engine.
	Engine bool `json:"engine"`
	// Vendor is the vendor that is called; empty for the null engine with an instant vendor.
	Vendor string `json:"vendor,omitempty"`
	// VendorDelay is added to every answer of the vendor.
	VendorDelay time.Duration `json:"vendor_delay,omitempty"`
	// Renewable is false where a lease cannot be renewed.
	Renewable bool `json:"renewable"`
	// Quick is true for the scenarios of `make bench-quick`.
	Quick bool `json:"-"`
}

// The baselines.
const (
	baselineNull     = "null"
	baselineOneWrite = "null 1w"
	baselineTwoWrite = "null 2w"
	baselineOneCall  = "null 1c"
	baselineWhole    = "null 2w1c"
	baselineSearch   = "null 2w1c, 2c at the end"
)

// baselineVendor is the vendor that the null engine calls.
const baselineVendor = "lacework"

// slowVendor is the delay of a vendor that is not next to the server.
const slowVendor = 100 * time.Millisecond

// baselines are the scenarios of the null engine. A renewal and a revocation do what the engine does at a vendor that
// offers both with one call.
func baselines() []scenario {
	all := []scenario{
		{Name: baselineNull, Path: nullMount + "/creds/i0.0-n0.0-v0.0", Renewable: true, Quick: true},
		{Name: baselineOneWrite, Path: nullMount + "/creds/i1.0-n1.0-v1.0", Renewable: true, Quick: true},
		{Name: baselineTwoWrite, Path: nullMount + "/creds/i2.0-n1.0-v1.0", Renewable: true},
		{Name: baselineOneCall, Path: nullMount + "/creds/i0.1-n0.1-v0.1", Renewable: true},
		{Name: baselineWhole, Path: nullMount + "/creds/i2.1-n1.1-v1.1", Renewable: true, Quick: true},
		{Name: baselineSearch, Path: nullMount + "/creds/i2.1-n1.1-v1.2", Renewable: true, Quick: true},
	}
	for _, instant := range all[len(all)-2:] {
		slow := instant
		slow.Name, slow.Vendor, slow.VendorDelay, slow.Quick = slowName(instant.Name), baselineVendor, slowVendor, false
		all = append(all, slow)
	}
	return all
}

// sharedOnly are the vendors whose limits the engine keeps even where the emulator does not: FTD has five sessions, and
// FortiSIEM issues a token every five seconds. An exclusive credential for each of 64 clients is not possible there.
var sharedOnly = map[string]bool{"ftd": true, "fortisiem": true}

// vendorScenarios are the exclusive and the shared scenario of each vendor, and the exclusive one with a slow vendor,
// except for vendors in sharedOnly.
func vendorScenarios() []scenario {
	var all []scenario
	for _, facts := range vendorfacts.All() {
		exclusive := scenario{
			Name: facts.Name + " exclusive", Path: mountPath + "/creds/" + roleName(facts.Name, false), Engine: true,
			Vendor: facts.Name, Baseline: baselineWhole, Renewable: facts.Renewable(), Quick: facts.Name == "trend" || facts.Name == "lacework",
		}
		if facts.Marked {
			exclusive.Baseline = baselineSearch // a deletion is confirmed by a search
		}
		shared := exclusive
		shared.Name, shared.Path = facts.Name+" shared", mountPath+"/creds/"+roleName(facts.Name, true)
		shared.Baseline, shared.Quick = baselineOneWrite, facts.Name == "ftd"
		slow := exclusive
		slow.Name, slow.VendorDelay, slow.Baseline, slow.Quick = slowName(exclusive.Name), slowVendor, slowName(exclusive.Baseline), false
		if sharedOnly[facts.Name] {
			all = append(all, shared)
			continue
		}
		all = append(all, exclusive, shared, slow)
	}
	return all
}

// slowName is the name of a scenario with a slow vendor.
func slowName(instant string) string { return fmt.Sprintf("%s, %s", instant, slowVendor) }

func roleName(vendor string, shared bool) string {
	if shared {
		return vendor + "-shared"
	}
	return vendor + "-exclusive"
}

// scenarios returns the scenarios of a run.
func scenarios(quick bool) []scenario {
	return slices.DeleteFunc(append(baselines(), vendorScenarios()...), func(s scenario) bool { return quick && !s.Quick })
}

// selectScenarios returns the scenarios whose name a regular expression matches, and their baselines. An empty one matches
// all.
func selectScenarios(all []scenario, pattern string) ([]scenario, error) {
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	needed := make(map[string]bool)
	for i := range all {
		if expression.MatchString(all[i].Name) {
			needed[all[i].Name], needed[all[i].Baseline] = true, true
		}
	}
	return slices.DeleteFunc(all, func(s scenario) bool { return !needed[s.Name] }), nil
}

// roleFields returns the fields of a vendor's role.
func roleFields(facts vendorfacts.Vendor, shared bool) map[string]any {
	fields := map[string]any{"config": facts.Name, "ttl": "10m"}
	maps.Copy(fields, facts.Role)
	if facts.Renewable() {
		fields["max_ttl"] = "1h"
	}
	fields["sharing"] = "exclusive"
	if shared {
		fields["sharing"] = "shared"
	}
	return fields
}
