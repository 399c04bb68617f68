package providertest

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Trap is a server on all addresses of this machine that no request may reach.
type Trap struct {
	// Port is the port on which it listens.
	Port        string
	connections atomic.Int64
}

// StartTrap starts a trap. The test fails at its end if a connection was made.
func StartTrap(t testing.TB) *Trap {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0") // #nosec G102 -- the test dials several addresses
	require.NoError(t, err)
	trap := &Trap{Port: strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			trap.connections.Add(1)
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		done.Wait()
		require.Zero(t, trap.Connections(), "connections to addresses that are not allowed")
	})
	return trap
}

// Connections returns how many connections were made.
func (t *Trap) Connections() int64 { return t.connections.Load() }
