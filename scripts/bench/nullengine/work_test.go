package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseWorkload_ValidName_HasAllNumbers(t *testing.T) {
	parsed, err := parseWorkload("i2.1-n1.3-v4.5")
	require.NoError(t, err)
	require.Equal(t, workload{issue: work{2, 1}, renew: work{1, 3}, revoke: work{4, 5}}, parsed)
}

func TestParseWorkload_InvalidName_IsRefused(t *testing.T) {
	for _, name := range []string{"", "null", "i2.1", "i2.1-n1.1-v1", "i22.1-n1.1-v1.1", "x2.1-n1.1-v1.1"} {
		_, err := parseWorkload(name)
		require.ErrorContains(t, err, "does not have the form", name)
	}
}
