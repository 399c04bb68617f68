package backend

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestInfo_EveryVendor_ReturnsItsCapabilities(t *testing.T) {
	m := newMount(t)
	info := m.must(logical.ReadOperation, "info", nil).Data
	require.Equal(t, Version, info["version"])
	names := info["vendors"].([]string)
	require.Len(t, names, len(registry()))
	listed := m.must(logical.ListOperation, "info/", nil).Data
	require.Equal(t, names, listed["keys"])
	for _, name := range names {
		require.Equal(t, listed["key_info"].(map[string]any)[name], m.must(logical.ReadOperation, "info/"+name, nil).Data)
	}
	ftd := m.must(logical.ReadOperation, "info/ftd", nil).Data
	require.Equal(t, "within_life", ftd["renewal"])
	require.Equal(t, true, ftd["revokes"])
	lacework := m.must(logical.ReadOperation, "info/lacework", nil).Data
	require.Equal(t, "none", lacework["renewal"])
	require.Equal(t, false, lacework["revokes"])
	require.NotEmpty(t, lacework["revocation"])
}

// The vault command prints a value on one line. A member that is an object would be unreadable in its table.
func TestInfo_Values_FitInATable(t *testing.T) {
	m := newMountWithoutVendors(t)
	paths := []string{"info"}
	for _, vendor := range registry() {
		paths = append(paths, "info/"+vendor.Name())
	}
	for _, path := range paths {
		for name, value := range m.must(logical.ReadOperation, path, nil).Data {
			switch value.(type) {
			case string, bool, int, int64, []string:
			default:
				t.Errorf("%s: %s is a %T", path, name, value)
			}
		}
	}
}

func TestInfo_UnknownVendor_IsNotFound(t *testing.T) {
	m := newMountWithoutVendors(t)
	response, status, err := m.request(logical.ReadOperation, "info/later", nil)
	require.NoError(t, err)
	require.Nil(t, response)
	require.Equal(t, http.StatusNotFound, status)
}
