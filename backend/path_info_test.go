package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestInfo_EveryVendor_ReturnsItsCapabilities(t *testing.T) {
	m := newMount(t)
	info := m.must(logical.ReadOperation, "info", nil).Data
	require.Equal(t, Version, info["version"])
	vendors := info["vendors"].(map[string]any)
	require.Len(t, vendors, len(registry()))
	ftd := vendors["ftd"].(map[string]any)
	require.Equal(t, "within_life", ftd["renewal"])
	require.Equal(t, true, ftd["revokes"])
	lacework := vendors["lacework"].(map[string]any)
	require.Equal(t, "none", lacework["renewal"])
	require.Equal(t, false, lacework["revokes"])
	require.NotEmpty(t, lacework["revocation"])
}
