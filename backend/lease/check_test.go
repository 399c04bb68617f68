package lease

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChecked_ConfigsThatEnded_AreForgotten(t *testing.T) {
	var c Credentials
	handle := json.RawMessage(`{"token":"t"}`)
	for _, config := range []string{"core", "deleted", "edge"} {
		c.checked.put(config, "entry of "+config, handle)
	}
	c.ForgetCheck("deleted")
	_, ok := c.checked.take("deleted", handle)
	require.False(t, ok)
	c.KeepChecks(func(name string) bool { return name == "core" || name == "new" })
	_, ok = c.checked.take("edge", handle)
	require.False(t, ok)
	entry, ok := c.checked.take("core", handle)
	require.True(t, ok)
	require.Equal(t, "entry of core", entry)
	require.Empty(t, c.checked.byConfig)
}
