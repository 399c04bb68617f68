package worker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSchedule_ConfigDeleted_IsForgotten(t *testing.T) {
	s := newSchedule()
	s.add("deleted")
	name, ok := s.next()
	require.True(t, ok)
	s.finish(turnResult{name: name, slow: true})
	s.forget([]string{"deleted", "other"})
	require.Len(t, s.slow, 1)
	s.forget([]string{"other"})
	require.Empty(t, s.slow)
}
