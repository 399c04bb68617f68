package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ConfigState is the present state of a config. Times that are zero are exported as 0.
type ConfigState struct {
	// Name and Vendor are names.
	Name, Vendor string
	// Retired is true if the config issues no more credentials.
	Retired bool

	// RootState is the state of the rotation: one of rootStates.
	RootState string
	// RootRejected is true if the vendor has rejected the root credential, and has not accepted it since.
	RootRejected bool
	// RootAcceptedAt and RootExpiresAt are when the vendor last accepted the root credential, and when it expires.
	RootAcceptedAt, RootExpiresAt time.Time
	// LastRotation and NextRotation are when the root credential was and will be rotated.
	LastRotation, NextRotation time.Time
	// RotationWindowEnd is when the open window ends in which a rotation that fails is repeated.
	RotationWindowEnd time.Time
	// MissedRotation is the latest scheduled time whose window has passed without a rotation.
	MissedRotation time.Time

	// BreakerState is the state of the circuit breaker: one of breakerStates.
	BreakerState string
	// PacingWaiting is how many requests wait for their turn.
	PacingWaiting int
	// TurnAt is when the last turn of the background work ended.
	TurnAt time.Time

	// Limit is how many credentials may be alive at once; 0 is unlimited.
	Limit int

	// Credentials counts the credentials by state. Every state is a key.
	Credentials map[string]int
	// SlotsUsed is how many credentials count towards the limit.
	SlotsUsed int
	// PendingRevocations and FailedRevocations count credentials that must end, and those of them for which at least
	// one attempt has failed. OldestFailure is the first failure of the latter.
	PendingRevocations, FailedRevocations int
	OldestFailure                         time.Time
}

var (
	rootStates    = []string{"current", "in_doubt", "previous_not_revoked"}
	breakerStates = []string{"closed", "half_open", "open"}
)

// State collects what a mount is at one moment. It is made for one answer, and is not safe for concurrent use.
type State struct {
	build     *prometheus.GaugeVec
	workerRun prometheus.Gauge

	retired, turnAt                    *prometheus.GaugeVec
	credentials, slots, limit          *prometheus.GaugeVec
	pending, failing, oldestFailing    *prometheus.GaugeVec
	rootState, rootRejected            *prometheus.GaugeVec
	rootAcceptedAt, rootExpiresAt      *prometheus.GaugeVec
	rootLastRotation, rootNextRotation *prometheus.GaugeVec
	rootWindowEnd, rootMissedRotation  *prometheus.GaugeVec
	breakerState, pacingWaiting        *prometheus.GaugeVec
}

// NewState returns a state without configs.
func NewState() *State {
	vec := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	byConfig := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return vec(name, help, append([]string{LabelConfig, LabelVendor}, labels...)...)
	}
	return &State{
		build: vec("vendorauth_build_info", "1, with the version of the plugin and of Go.", "version", "goversion"),
		workerRun: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "vendorauth_worker_last_run_timestamp_seconds", Help: "When the background work last looked for work; 0 if not yet.",
		}),
		retired: byConfig("vendorauth_config_retired", "1 if the config is retired: it issues no more credentials."),
		turnAt:  byConfig("vendorauth_worker_last_turn_timestamp_seconds", "When the background work on the config last ended; 0 if not yet."),

		credentials: byConfig("vendorauth_credentials", "Credentials that are or may be alive, by state.", "state"),
		slots:       byConfig("vendorauth_credentials_slots_used", "Credentials that count towards the limit."),
		limit:       byConfig("vendorauth_credentials_limit", "How many credentials may be alive at once; 0 is unlimited."),
		pending:     byConfig("vendorauth_pending_revocations", "Credentials that must end and that the vendor has not confirmed to have ended."),
		failing:     byConfig("vendorauth_failed_revocations", "Credentials whose revocation has failed and will be retried."),
		oldestFailing: byConfig("vendorauth_oldest_failed_revocation_timestamp_seconds",
			"When the oldest of the failed revocations failed for the first time; 0 if there is none."),

		rootState:    byConfig("vendorauth_root_state", "1 for the state of the root credential's rotation, 0 for the others.", "state"),
		rootRejected: byConfig("vendorauth_root_rejected", "1 if the vendor has rejected the root credential, and has not accepted it since."),
		rootAcceptedAt: byConfig("vendorauth_root_last_accepted_timestamp_seconds",
			"When the vendor last accepted the root credential, or a login made with it; 0 if not since the start of the process."),
		rootExpiresAt: byConfig("vendorauth_root_expiry_timestamp_seconds",
			"When the root credential expires, by the last check; 0 if it does not, or if that is not known."),
		rootLastRotation: byConfig("vendorauth_root_last_rotation_timestamp_seconds", "When the root credential was last rotated; 0 if never."),
		rootNextRotation: byConfig("vendorauth_root_next_rotation_timestamp_seconds", "When the next automatic rotation is due; 0 if there is none."),
		rootWindowEnd: byConfig("vendorauth_root_rotation_window_end_timestamp_seconds",
			"When the open rotation_window ends in which a rotation is due, and repeated if it fails; 0 if there is none."),
		rootMissedRotation: byConfig("vendorauth_root_missed_rotation_timestamp_seconds",
			"The latest time of rotation_schedule whose rotation_window has passed without a rotation; 0 if there is none since the last rotation."),

		breakerState:  byConfig("vendorauth_breaker_state", "1 for the state of the circuit breaker, 0 for the others.", "state"),
		pacingWaiting: byConfig("vendorauth_pacing_waiting_requests", "Requests to the vendor that wait for their turn (requests_per_minute)."),
	}
}

// SetBuild sets the version of the plugin.
func (s *State) SetBuild(version string) {
	s.build.WithLabelValues(version, runtime.Version()).Set(1)
}

// SetWorkerRun sets when the background work last looked for work.
func (s *State) SetWorkerRun(at time.Time) { s.workerRun.Set(seconds(at)) }

// SetConfig sets the state of a config.
func (s *State) SetConfig(c ConfigState) {
	set := func(gauge *prometheus.GaugeVec, value float64, labels ...string) {
		gauge.WithLabelValues(append([]string{c.Name, c.Vendor}, labels...)...).Set(value)
	}
	set(s.retired, number(c.Retired))
	set(s.turnAt, seconds(c.TurnAt))
	for state, count := range c.Credentials {
		set(s.credentials, float64(count), state)
	}
	set(s.slots, float64(c.SlotsUsed))
	set(s.limit, float64(c.Limit))
	set(s.pending, float64(c.PendingRevocations))
	set(s.failing, float64(c.FailedRevocations))
	set(s.oldestFailing, seconds(c.OldestFailure))
	for _, state := range rootStates {
		set(s.rootState, number(state == c.RootState), state)
	}
	set(s.rootRejected, number(c.RootRejected))
	set(s.rootAcceptedAt, seconds(c.RootAcceptedAt))
	set(s.rootExpiresAt, seconds(c.RootExpiresAt))
	set(s.rootLastRotation, seconds(c.LastRotation))
	set(s.rootNextRotation, seconds(c.NextRotation))
	set(s.rootWindowEnd, seconds(c.RotationWindowEnd))
	set(s.rootMissedRotation, seconds(c.MissedRotation))
	for _, state := range breakerStates {
		set(s.breakerState, number(state == c.BreakerState), state)
	}
	set(s.pacingWaiting, float64(c.PacingWaiting))
}

// Describe implements [prometheus.Collector].
func (s *State) Describe(descs chan<- *prometheus.Desc) {
	for _, collector := range s.collectors() {
		collector.Describe(descs)
	}
}

// Collect implements [prometheus.Collector].
func (s *State) Collect(metrics chan<- prometheus.Metric) {
	for _, collector := range s.collectors() {
		collector.Collect(metrics)
	}
}

func (s *State) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		s.build, s.workerRun, s.retired, s.turnAt, s.credentials, s.slots, s.limit, s.pending, s.failing, s.oldestFailing,
		s.rootState, s.rootRejected, s.rootAcceptedAt, s.rootExpiresAt, s.rootLastRotation, s.rootNextRotation,
		s.rootWindowEnd, s.rootMissedRotation, s.breakerState, s.pacingWaiting,
	}
}

// seconds returns a time as Prometheus wants it, and 0 for the zero time.
func seconds(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}

func number(set bool) float64 {
	if set {
		return 1
	}
	return 0
}
