package fortianalyzer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The limits of leased sessions leave room at an instance with the documented login-max.
func TestCapabilities_Limits_LeaveRoomForProbes(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	limits := c.provider.Capabilities()
	for range limits.DefaultMaxCredentials {
		c.issue(conn)
	}
	c.issue(conn) // the session of an operator
	_, err := conn.Check(t.Context())
	require.NoError(t, err)

	for range limits.MaxCredentials - limits.DefaultMaxCredentials - 1 {
		c.issue(conn)
	}
	require.Equal(t, limits.MaxCredentials, c.sessions())
	_, err = conn.Check(t.Context())
	require.NoError(t, err)
	c.issue(conn)
	_, err = conn.Check(t.Context())
	require.Error(t, err, "the instance has no room for one more session, so the limit cannot be higher")
}
