package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGCPercent_LiveHeap_BoundsGarbage(t *testing.T) {
	for live, expected := range map[uint64]int{
		0:        mostGCPercent,
		1 << 20:  mostGCPercent,
		7 << 20:  200,
		14 << 20: 100,
		20 << 20: 70,
		28 << 20: leastGCPercent,
		1 << 30:  leastGCPercent,
	} {
		require.Equal(t, expected, gcPercent(live), live)
	}
}
