package main

// target is a bound that the engine promises, as a ratio to a baseline of the same run.
type target struct {
	name  string
	bound float64
	// atMost is true when the value must not exceed the bound, and false when it must reach it.
	atMost bool
	value  func(rows []row) (float64, bool)
}

// targetClients is the number of clients at which the targets hold.
const targetClients = 64

// find returns a scenario's row at the number of clients of the targets.
func find(rows []row, name string) (row, bool) {
	for _, r := range rows {
		if r.Name == name && r.Clients == targetClients {
			return r, true
		}
	}
	return row{}, false
}

// of returns a value of one scenario.
func of(name string, value func(row) float64) func([]row) (float64, bool) {
	return func(rows []row) (float64, bool) {
		r, ok := find(rows, name)
		if !ok {
			return 0, false
		}
		return value(r), true
	}
}

// measured leaves out a ratio without a baseline: the null engine was not measured with a slow vendor.
func measured(value func([]row) (float64, bool)) func([]row) (float64, bool) {
	return func(rows []row) (float64, bool) {
		ratio, ok := value(rows)
		return ratio, ok && ratio > 0
	}
}

// renewal returns a value of the renewals of a scenario, or 0.
func renewal(value func(figures) float64) func(row) float64 {
	return func(r row) float64 {
		if r.Renew == nil {
			return 0
		}
		return value(*r.Renew)
	}
}

func cpuRatio(f figures) float64 { return f.CPURatio }

// targets are the bounds. Lacework's exclusive credential costs exactly two writes and one call, and Trend's is the
// one that most deployments issue in number.
func targets() []target {
	readCPU := func(r row) float64 { return r.Read.CPURatio }
	readSpeed := func(r row) float64 { return r.Read.SpeedRatio }
	revokeCPU := func(r row) float64 { return r.Revoke.CPURatio }
	all := []target{
		{"shared read, CPU (ftd)", 1.05, true, of("ftd shared", readCPU)},
		{"shared read, reads/s (ftd)", 0.95, false, of("ftd shared", readSpeed)},
	}
	for _, vendor := range []string{"lacework", "trend"} {
		all = append(all,
			target{"exclusive read, CPU (" + vendor + ")", 1.2, true, of(vendor+" exclusive", readCPU)},
			target{"exclusive read, reads/s (" + vendor + ")", 0.85, false, of(vendor+" exclusive", readSpeed)})
	}
	return append(all,
		target{"renewal, CPU (trend)", 1.2, true, of("trend exclusive", renewal(cpuRatio))},
		target{"revocation, CPU (trend)", 1.2, true, of("trend exclusive", revokeCPU)},
		target{"slow vendor, part of the possible reads/s (trend)", 0.95, false, slowVendorPart},
		target{"slow vendor, reads/s (trend)", 0.85, false, measured(of(slowName("trend exclusive"), readSpeed))},
	)
}

// slowVendorPart is what 64 readers reach at a vendor that answers after 100 ms, as a part of what is possible: ten
// reads a second for each reader, or what the instant vendor gives.
func slowVendorPart(rows []row) (float64, bool) {
	slow, ok := find(rows, slowName("trend exclusive"))
	instant, found := find(rows, "trend exclusive")
	if !ok || !found {
		return 0, false
	}
	possible := min(float64(targetClients)/slowVendor.Seconds(), instant.Read.PerSecond)
	return round(slow.Read.PerSecond/possible, 2), true
}

// The verdicts on a target.
const (
	verdictMet    = "met"
	verdictMissed = "MISSED"
)

// judge returns the sign of the bound, and whether a value meets it.
func (t target) judge(value float64) (sign, verdict string) {
	sign, met := "≥", value >= t.bound
	if t.atMost {
		sign, met = "≤", value <= t.bound
	}
	if met {
		return sign, verdictMet
	}
	return sign, verdictMissed
}

// countMissed returns how many targets were missed, of those that were measured.
func countMissed(rows []row) int {
	missed := 0
	for _, t := range targets() {
		if value, ok := t.value(rows); ok {
			if _, verdict := t.judge(value); verdict != verdictMet {
				missed++
			}
		}
	}
	return missed
}
