package backend

import (
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/rotation"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// minRotationPeriod catches a wrong unit, which would change a device's password every few seconds.
	minRotationPeriod = time.Hour

	// minRotationWindow is Vault's own. A rotation that fails is repeated in it.
	minRotationWindow = time.Hour
)

// Config fields that decide when the root credential is rotated. The names are Vault's.
const (
	fieldRotationPeriod           = "rotation_period"
	fieldRotationSchedule         = "rotation_schedule"
	fieldRotationWindow           = "rotation_window"
	fieldDisableAutomatedRotation = "disable_automated_rotation"
)

// rotationFields are the config fields that decide when the root credential is rotated.
func rotationFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldRotationPeriod: {
			Type: framework.TypeDurationSecond,
			Description: "How often the engine rotates the root credential, where the vendor's API can; at least an hour. It counts from the last " +
				"rotation or from when it is set. 0 is never. Excludes rotation_schedule.",
		},
		fieldRotationSchedule: {
			Type: framework.TypeString,
			Description: `When the engine rotates the root credential: a cron expression of five fields in UTC, such as "0 3 * * SAT". ` +
				"At most once an hour. Excludes rotation_period.",
		},
		fieldRotationWindow: {
			Type: framework.TypeDurationSecond,
			Description: "How long after a time of rotation_schedule a rotation may begin or be repeated; at least an hour. Then it waits for the next " +
				"time. 0 is without a limit.",
		},
		fieldDisableAutomatedRotation: {
			Type: framework.TypeBool, Description: "Stop automatic rotations and keep their settings.",
		},
	}
}

// mergeRotation applies when the root credential is rotated. A period and a schedule count from now if they change: a
// new setting does not rotate an old root credential at once.
func mergeRotation(c *store.Config, data *framework.FieldData, vendor provider.Provider, now time.Time) error {
	old := c.AutomatedRotation
	applySeconds(data, fieldRotationPeriod, &c.RotationPeriod)
	applyField(data, fieldRotationSchedule, &c.RotationSchedule)
	applySeconds(data, fieldRotationWindow, &c.RotationWindow)
	applyField(data, fieldDisableAutomatedRotation, &c.DisableAutomatedRotation)
	if err := checkRotation(&c.AutomatedRotation, vendor, now); err != nil {
		return err
	}
	switch {
	case !c.Scheduled():
		c.RotationSetAt = time.Time{}
	case !c.SameTimes(&old):
		c.RotationSetAt = now
	}
	return nil
}

// checkRotation refuses settings that exclude each other, or that the vendor does not allow.
func checkRotation(s *store.AutomatedRotation, vendor provider.Provider, now time.Time) error {
	can := vendor.Capabilities()
	for field, set := range map[string]bool{fieldRotationPeriod: s.RotationPeriod != 0, fieldRotationSchedule: s.RotationSchedule != ""} {
		if set && !can.RotatesRoot {
			return provider.InvalidField(field, "the API of vendor %q cannot replace the root credential: %s", vendor.Name(), can.RotationNote)
		}
	}
	switch {
	case s.RotationPeriod != 0 && s.RotationSchedule != "":
		return provider.InvalidField(fieldRotationSchedule, "and rotation_period exclude each other; write the other one with 0 or an empty string")
	case s.RotationPeriod != 0 && s.RotationPeriod < minRotationPeriod:
		return provider.InvalidField(fieldRotationPeriod, "must be 0 or at least %s", minRotationPeriod)
	case s.RotationWindow != 0 && s.RotationSchedule == "":
		return provider.InvalidField(fieldRotationWindow, "applies to rotation_schedule only; write it with 0, or set a schedule")
	case s.RotationWindow != 0 && s.RotationWindow < minRotationWindow:
		return provider.InvalidField(fieldRotationWindow, "must be 0 or at least %s", minRotationWindow)
	case s.RotationSchedule != "":
		return checkSchedule(s.RotationSchedule, now)
	}
	return nil
}

// checkSchedule refuses a cron expression that Vault does not accept, that never comes, or that comes more than once an
// hour. The parser would ignore a time zone.
func checkSchedule(expression string, now time.Time) error {
	if strings.Contains(expression, "TZ=") {
		return provider.InvalidField(fieldRotationSchedule, "must not contain a time zone: it is in UTC")
	}
	schedule, err := rotation.DefaultScheduler.Parse(expression)
	if err != nil {
		return provider.InvalidField(fieldRotationSchedule, "must be a cron expression of five fields (minute, hour, day of month, month, day of week): %s", err)
	}
	first := schedule.Next(now.UTC())
	if first.IsZero() {
		return provider.InvalidField(fieldRotationSchedule, "has no time within five years")
	}
	// The first of three may be the last one of its hour.
	second := schedule.Next(first)
	for _, pair := range [][2]time.Time{{first, second}, {second, schedule.Next(second)}} {
		if !pair[1].IsZero() && pair[1].Sub(pair[0]) < minRotationPeriod {
			return provider.InvalidField(fieldRotationSchedule, "must not rotate more than once in %s", minRotationPeriod)
		}
	}
	return nil
}

// describeRotation adds when the root credential was and will be rotated.
func (b *backend) describeRotation(entry *store.Config, described map[string]any) {
	described[fieldRotationPeriod] = int64(entry.RotationPeriod.Seconds())
	described[fieldRotationSchedule] = entry.RotationSchedule
	described[fieldRotationWindow] = int64(entry.RotationWindow.Seconds())
	described[fieldDisableAutomatedRotation] = entry.DisableAutomatedRotation
	described["last_rotation"] = formatTime(entry.Root.RotatedAt)
	described["next_rotation"] = formatTime(entry.NextRotation(b.clock.Now()))
	described["root_expires_at"] = formatTime(entry.Root.ExpiresAt)
}
