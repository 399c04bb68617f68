package providertest

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Resolver is a DNS server for a test. It answers for the names that the test sets, and reports other names as unknown.
// It is safe for concurrent use.
type Resolver struct {
	mu    sync.Mutex
	names map[string][]netip.Addr
	count int
}

// StartResolver starts a DNS server, which the process uses until the test ends. The test must not be parallel.
func StartResolver(t testing.TB) *Resolver {
	t.Helper()
	r := &Resolver{names: map[string][]netip.Addr{}}
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	var done sync.WaitGroup
	done.Go(func() { r.serve(server) })
	previous := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = previous
		require.NoError(t, server.Close())
		done.Wait()
	})
	return r
}

// Set sets the addresses of a name.
func (r *Resolver) Set(name string, addresses ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[name] = nil
	for _, address := range addresses {
		r.names[name] = append(r.names[name], netip.MustParseAddr(address))
	}
}

// Lookups returns how many questions for IPv4 addresses the server has answered.
func (r *Resolver) Lookups() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

func (r *Resolver) serve(server net.PacketConn) {
	query := make([]byte, 1500)
	for {
		n, from, err := server.ReadFrom(query)
		if err != nil {
			return // closed
		}
		if answer := r.answer(query[:n]); answer != nil {
			_, _ = server.WriteTo(answer, from)
		}
	}
}

// answer returns the answer to a query with one question, by RFC 1035.
func (r *Resolver) answer(query []byte) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	var labels []string
	end := header
	for end < len(query) && query[end] != 0 {
		next := end + 1 + int(query[end])
		if next >= len(query) {
			return nil
		}
		labels = append(labels, string(query[end+1:next]))
		end = next
	}
	end += 5 // the root label, type and class
	if end > len(query) {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[end-4:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind == typeA {
		r.count++
	}
	addresses, known := r.names[strings.ToLower(strings.Join(labels, "."))]
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[header:end]...)
	if !known {
		answer[3] |= 3 // no such name
	}
	for _, address := range addresses {
		if address.Is4() != (kind == typeA) || address.Is6() != (kind == typeAAAA) {
			continue
		}
		answer[7]++
		content := address.AsSlice()
		answer = append(answer, 0xc0, header, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(content))) // #nosec G115 -- at most 16
		answer = append(answer, content...)
	}
	return answer
}
