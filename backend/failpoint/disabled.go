//go:build !failpoints

// Package failpoint marks the steps at which the fault tests kill or hold the plugin's process. A normal
// build has no failpoints: Hit does nothing. With the build tag failpoints (enabled.go), an environment
// variable selects the step.
package failpoint

import "time"

// Hit marks a step, such as "issue.reserved".
func Hit(string) {}

// Wait returns how long the engine waits: normal here, and short in a build with failpoints.
func Wait(normal, _ time.Duration) time.Duration { return normal }

// WallClock returns the engine's clock: here the machine's.
func WallClock(machine Clock) Clock { return machine }
