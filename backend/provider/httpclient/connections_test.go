package httpclient_test

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// countingServer is a TLS server that counts its connections and how many of them resumed a session. It answers
// a burst only when all of its requests have arrived, so that each needs a connection of its own.
type countingServer struct {
	*httptest.Server
	connections, resumed atomic.Int64
	burst                sync.WaitGroup
}

func newCountingServer(t *testing.T) *countingServer {
	t.Helper()
	s := &countingServer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			s.resumed.Add(1)
		}
		s.burst.Done()
		s.burst.Wait()
	}))
	s.Config.ErrorLog = quietLog()
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// run sends requests that all run at the same time.
func (s *countingServer) run(t *testing.T, client *httpclient.Client, requests int) {
	t.Helper()
	s.burst.Add(requests)
	var group sync.WaitGroup
	for range requests {
		group.Go(func() {
			if _, err := client.Do(t.Context(), httpclient.Request{Op: "test: burst"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func (s *countingServer) client(t *testing.T) *httpclient.Client {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return newClient(t, httpclient.Options{Address: s.URL, CACert: string(ca)})
}

func TestDo_SecondBurst_ReusesTheConnections(t *testing.T) {
	const readers = 64
	server := newCountingServer(t)
	client := server.client(t)
	server.run(t, client, readers)
	opened := server.connections.Load()
	require.EqualValues(t, readers, opened)
	server.run(t, client, readers)
	require.Equal(t, opened, server.connections.Load())
}

func TestDo_NewConnection_ResumesTheTLSSession(t *testing.T) {
	server := newCountingServer(t)
	client := server.client(t)
	server.run(t, client, 1)
	server.CloseClientConnections()
	server.run(t, client, 1)
	require.EqualValues(t, 2, server.connections.Load())
	require.EqualValues(t, 1, server.resumed.Load())

	server.run(t, server.client(t), 1)
	require.EqualValues(t, 1, server.resumed.Load(), "another client does not share the sessions")
}
