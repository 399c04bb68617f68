package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// at returns a time of January 2026, which begins on a Thursday.
func at(day, hour int) time.Time { return time.Date(2026, 1, day, hour, 0, 0, 0, time.UTC) }

func TestNextRotation_EverySetting_IsAsDocumented(t *testing.T) {
	now := at(14, 12)
	for name, test := range map[string]struct {
		set       AutomatedRotation
		updatedAt time.Time
		next      time.Time
		due       bool
	}{
		"nothing is set":                    {AutomatedRotation{}, at(1, 0), time.Time{}, false},
		"a period":                          {AutomatedRotation{RotationPeriod: 24 * time.Hour}, at(14, 0), at(15, 0), false},
		"a period that has passed":          {AutomatedRotation{RotationPeriod: 24 * time.Hour}, at(10, 0), at(11, 0), true},
		"a period on an old root":           {AutomatedRotation{RotationPeriod: 24 * time.Hour, RotationSetAt: at(14, 11)}, at(1, 0), at(15, 11), false},
		"a root after the period was set":   {AutomatedRotation{RotationPeriod: 24 * time.Hour, RotationSetAt: at(1, 0)}, at(14, 11), at(15, 11), false},
		"a period that is disabled":         {AutomatedRotation{RotationPeriod: time.Hour, DisableAutomatedRotation: true}, at(1, 0), time.Time{}, false},
		"set by a clock that was ahead":     {AutomatedRotation{RotationPeriod: 48 * time.Hour, RotationSetAt: at(30, 0)}, at(13, 12), at(15, 12), false},
		"a schedule":                        {AutomatedRotation{RotationSchedule: "0 3 * * *"}, at(14, 11), at(15, 3), false},
		"a schedule in UTC":                 {AutomatedRotation{RotationSchedule: "0 13 * * *"}, at(14, 11).In(time.FixedZone("east", 9*3600)), at(14, 13), false},
		"a schedule that has passed":        {AutomatedRotation{RotationSchedule: "0 3 * * *"}, at(10, 0), at(10, 3), true},
		"a schedule on an old root":         {AutomatedRotation{RotationSchedule: "0 3 * * *", RotationSetAt: at(14, 11)}, at(1, 0), at(15, 3), false},
		"inside a window":                   {AutomatedRotation{RotationSchedule: "0 11 * * *", RotationWindow: 2 * time.Hour}, at(10, 0), at(14, 11), true},
		"at the end of a window":            {AutomatedRotation{RotationSchedule: "0 10 * * *", RotationWindow: 2 * time.Hour}, at(10, 0), at(15, 10), false},
		"rotated inside its window":         {AutomatedRotation{RotationSchedule: "0 11 * * *", RotationWindow: 2 * time.Hour}, at(14, 11), at(15, 11), false},
		"set inside a window":               {AutomatedRotation{RotationSchedule: "0 11 * * *", RotationWindow: 4 * time.Hour, RotationSetAt: at(14, 11)}, at(1, 0), at(15, 11), false},
		"a root of a clock that was ahead":  {AutomatedRotation{RotationSchedule: "0 3 * * *"}, at(30, 0), now, true},
		"that root and a window":            {AutomatedRotation{RotationSchedule: "0 3 * * *", RotationWindow: time.Hour}, at(30, 0), at(15, 3), false},
		"that root inside a window":         {AutomatedRotation{RotationSchedule: "0 11 * * *", RotationWindow: 2 * time.Hour}, at(30, 0), at(14, 11), true},
		"a schedule that cannot be read":    {AutomatedRotation{RotationSchedule: "of a later version"}, at(1, 0), time.Time{}, false},
		"a schedule that is never":          {AutomatedRotation{RotationSchedule: "0 0 30 2 *"}, at(1, 0), time.Time{}, false},
		"a schedule on a day in the future": {AutomatedRotation{RotationSchedule: "0 4 29 2 *"}, at(1, 0), time.Date(2028, 2, 29, 4, 0, 0, 0, time.UTC), false},
	} {
		t.Run(name, func(t *testing.T) {
			config := &Config{AutomatedRotation: test.set, Root: RootState{UpdatedAt: test.updatedAt}}
			require.Equal(t, test.next, config.NextRotation(now))
			require.Equal(t, test.due, config.RotationDue(now))
			if test.due && test.set.RotationWindow > 0 {
				require.Equal(t, test.next.Add(test.set.RotationWindow), config.RotationWindowEnd(now))
			} else {
				require.Zero(t, config.RotationWindowEnd(now))
			}
			config.Retired = true
			require.Zero(t, config.NextRotation(now))
			require.Zero(t, config.RotationWindowEnd(now))
			require.Zero(t, config.MissedRotation(now))
		})
	}
}

func TestMissedRotation_EverySetting_IsTheLatest(t *testing.T) {
	now := at(14, 12)
	for name, test := range map[string]struct {
		set       AutomatedRotation
		updatedAt time.Time
		missed    time.Time
	}{
		"every day":          {AutomatedRotation{RotationSchedule: "0 3 * * *", RotationWindow: time.Hour}, at(1, 0), at(14, 3)},
		"a window that ends": {AutomatedRotation{RotationSchedule: "0 11 * * *", RotationWindow: time.Hour}, at(1, 0), at(14, 11)},
		"an open window":     {AutomatedRotation{RotationSchedule: "0 11 * * *", RotationWindow: 2 * time.Hour}, at(1, 0), at(13, 11)},
		"every month":        {AutomatedRotation{RotationSchedule: "0 3 2 * *", RotationWindow: time.Hour}, at(1, 0), at(2, 3)},
		"every year": {
			AutomatedRotation{RotationSchedule: "0 3 2 3 *", RotationWindow: time.Hour}, at(1, 0).AddDate(-3, 0, 0),
			time.Date(2025, 3, 2, 3, 0, 0, 0, time.UTC),
		},
		"every leap year": {
			AutomatedRotation{RotationSchedule: "0 3 29 2 *", RotationWindow: time.Hour}, at(1, 0).AddDate(-8, 0, 0),
			time.Date(2024, 2, 29, 3, 0, 0, 0, time.UTC),
		},
		"rotated in the window":    {AutomatedRotation{RotationSchedule: "0 3 * * *", RotationWindow: time.Hour}, at(14, 3), time.Time{}},
		"rotated by hand later":    {AutomatedRotation{RotationSchedule: "0 3 * * *", RotationWindow: time.Hour}, at(14, 9), time.Time{}},
		"set after the window":     {AutomatedRotation{RotationSchedule: "0 3 * * *", RotationWindow: time.Hour, RotationSetAt: at(14, 9)}, at(1, 0), time.Time{}},
		"without a window":         {AutomatedRotation{RotationSchedule: "0 3 * * *"}, at(1, 0), time.Time{}},
		"a period":                 {AutomatedRotation{RotationPeriod: time.Hour}, at(1, 0), time.Time{}},
		"a schedule never matches": {AutomatedRotation{RotationSchedule: "0 0 30 2 *", RotationWindow: time.Hour}, at(1, 0), time.Time{}},
		"a clock that was ahead":   {AutomatedRotation{RotationSchedule: "0 3 * * *", RotationWindow: time.Hour}, at(30, 0), time.Time{}},
		"disabled": {
			AutomatedRotation{RotationSchedule: "0 3 * * *", RotationWindow: time.Hour, DisableAutomatedRotation: true}, at(1, 0), time.Time{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := &Config{AutomatedRotation: test.set, Root: RootState{UpdatedAt: test.updatedAt}}
			require.Equal(t, test.missed, config.MissedRotation(now))
		})
	}
}

func TestRootExpiry_SmallChange_IsNotStored(t *testing.T) {
	root := RootState{}
	require.False(t, root.SetExpiry(time.Time{}))
	require.True(t, root.SetExpiry(at(14, 12)))
	require.False(t, root.SetExpiry(at(14, 12).Add(59*time.Second)), "the vendor's clock is not exact")
	require.False(t, root.SetExpiry(at(14, 12).Add(-59*time.Second)))
	require.Equal(t, at(14, 12), root.ExpiresAt)
	require.True(t, root.SetExpiry(at(14, 12).Add(time.Minute)), "a minute is not the inaccuracy of a clock")
	require.True(t, root.SetExpiry(at(14, 13)))
	config := &Config{Root: RootState{ExpiresAt: at(14, 12)}}
	require.False(t, config.RootExpiresSoon(at(1, 0).Add(-12*time.Hour)))
	notice := at(14, 12).Add(-provider.RootExpiryNotice)
	require.False(t, config.RootExpiresSoon(notice))
	require.True(t, config.RootExpiresSoon(notice.Add(time.Second)))
	require.True(t, config.RootExpiresSoon(at(1, 0)))
	require.True(t, config.RootExpiresSoon(at(15, 0)), "it has expired")
	require.True(t, root.SetExpiry(time.Time{}))
	require.False(t, (&Config{Root: root}).RootExpiresSoon(at(15, 0)))
}

func TestSameTimes_EverySetting_IsCompared(t *testing.T) {
	set := AutomatedRotation{RotationPeriod: time.Hour, RotationSetAt: at(1, 0)}
	require.True(t, set.SameTimes(&AutomatedRotation{RotationPeriod: time.Hour, RotationSetAt: at(2, 0)}))
	for _, other := range []AutomatedRotation{
		{RotationPeriod: 2 * time.Hour}, {RotationPeriod: time.Hour, RotationSchedule: "0 3 * * *"}, {RotationPeriod: time.Hour, DisableAutomatedRotation: true},
	} {
		require.False(t, set.SameTimes(&other))
	}
}
