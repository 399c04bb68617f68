package store

import (
	"time"

	"github.com/hashicorp/vault/sdk/rotation"
)

// AutomatedRotation decides when the root credential is rotated by the engine itself. The fields and their rules are those of
// Vault's automated root rotation (sdk/helper/automatedrotationutil): RotationPeriod and RotationSchedule exclude each
// other.
type AutomatedRotation struct {
	// RotationPeriod is how often the root credential is rotated; 0 is never.
	RotationPeriod time.Duration `json:"rotation_period_ns,omitempty"`
	// RotationSchedule is a cron expression of five fields, in UTC. Empty if there is no schedule.
	RotationSchedule string `json:"rotation_schedule,omitempty"`
	// RotationWindow is how long after a time of the schedule the rotation may begin; 0 is without a limit.
	RotationWindow time.Duration `json:"rotation_window_ns,omitempty"`
	// DisableAutomatedRotation stops automatic rotations and keeps the other settings.
	DisableAutomatedRotation bool `json:"disable_automated_rotation,omitempty"`
	// RotationSetAt is when the period or the schedule was set or enabled: the first rotation counts from there.
	RotationSetAt time.Time `json:"rotation_set_at,omitzero"`
}

// Scheduled reports whether the settings ask for automatic rotations.
func (s *AutomatedRotation) Scheduled() bool {
	return !s.DisableAutomatedRotation && (s.RotationPeriod > 0 || s.RotationSchedule != "")
}

// SameTimes reports whether both rotate at the same times, apart from RotationSetAt.
func (s *AutomatedRotation) SameTimes(other *AutomatedRotation) bool {
	return s.RotationPeriod == other.RotationPeriod && s.RotationSchedule == other.RotationSchedule && s.Scheduled() == other.Scheduled()
}

// NextRotation returns when the root credential is rotated next: since then, if that is not after now. It is zero if
// there is no automatic rotation. A window that has passed is not returned: the rotation waits for the next one.
func (c *Config) NextRotation(now time.Time) time.Time {
	if !c.Scheduled() || c.Retired {
		return time.Time{}
	}
	base := c.rotationBase(now)
	if base.IsZero() && c.RotationWindow == 0 {
		return now
	}
	if c.RotationSchedule == "" {
		return base.Add(c.RotationPeriod)
	}
	if opened := now.Add(-c.RotationWindow); c.RotationWindow > 0 && base.Before(opened) {
		base = opened // a window that began until then is over
	}
	return c.nextScheduled(base)
}

// RotationDue reports whether the root credential must be rotated by now.
func (c *Config) RotationDue(now time.Time) bool {
	next := c.NextRotation(now)
	return !next.IsZero() && !next.After(now)
}

// RotationWindowEnd returns when the open window ends in which the root credential must still be rotated: until then, a
// rotation that fails is repeated. It is zero if no rotation is due, and always without a window.
func (c *Config) RotationWindowEnd(now time.Time) time.Time {
	if c.RotationWindow == 0 || !c.RotationDue(now) {
		return time.Time{}
	}
	return c.NextRotation(now).Add(c.RotationWindow)
}

// MissedRotation returns the latest time of the schedule whose window has passed without a rotation. It is zero if there
// is none: after the next rotation, and always without a window.
func (c *Config) MissedRotation(now time.Time) time.Time {
	base := c.rotationBase(now)
	if !c.Scheduled() || c.Retired || c.RotationWindow == 0 || base.IsZero() {
		return time.Time{}
	}
	const day = 24 * time.Hour
	// Cron expressions can only be followed forward. Few of their times lie in the shortest of these spans that has one.
	for _, span := range []time.Duration{day, 32 * day, 367 * day, 9 * 366 * day} {
		start := now.Add(-c.RotationWindow - span)
		if start.Before(base) {
			start = base
		}
		var missed time.Time
		for at := c.nextScheduled(start); !at.IsZero() && !at.Add(c.RotationWindow).After(now); at = c.nextScheduled(at) {
			missed = at
		}
		if !missed.IsZero() || start.Equal(base) {
			return missed
		}
	}
	return time.Time{}
}

// rotationBase returns the time from which the next rotation counts: when the root credential was stored, or when the
// rotation was set, if that was later. It is zero if it is not known: a timestamp in the future was written by a node
// whose clock was wrong.
func (c *Config) rotationBase(now time.Time) time.Time {
	base := c.Root.UpdatedAt
	if base.After(now) {
		return time.Time{}
	}
	if c.RotationSetAt.After(base) && !c.RotationSetAt.After(now) {
		base = c.RotationSetAt
	}
	return base
}

// nextScheduled returns the next time of the cron expression after a time. It is zero if there is none within five
// years, or if this version cannot read the expression.
func (c *Config) nextScheduled(after time.Time) time.Time {
	schedule, err := rotation.DefaultScheduler.Parse(c.RotationSchedule)
	if err != nil {
		return time.Time{}
	}
	return schedule.Next(after.UTC())
}
