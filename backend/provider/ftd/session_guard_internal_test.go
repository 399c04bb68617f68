package ftd

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A guard lives as long as a connection to its device is open.
func TestSessionGuards_LastConnectionCloses_GuardIsDeleted(t *testing.T) {
	guards := newSessionGuards()
	first, closeFirst := guards.of("https://edge")
	second, closeSecond := guards.of("https://edge")
	other, closeOther := guards.of("https://other")
	assert.Same(t, first, second)
	assert.NotSame(t, first, other)
	closeFirst()
	closeFirst()
	third, closeThird := guards.of("https://edge")
	assert.Same(t, second, third, "a connection still uses it")
	for _, release := range []func(){closeSecond, closeThird, closeOther} {
		release()
	}
	assert.Empty(t, guards.byDevice)
}
