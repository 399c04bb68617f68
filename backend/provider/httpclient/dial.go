package httpclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/hashicorp/go-cleanhttp"
)

const (
	// dialTimeout and keepAlive are those of the pooled transport.
	dialTimeout = 30 * time.Second
	keepAlive   = 30 * time.Second

	// maxResponseHeader is the largest header of an answer, in bytes.
	maxResponseHeader = 64 << 10

	// idleTimeout is how long the client keeps an unused connection. It is shorter than the 60 seconds after
	// which common load balancers close one: if a create is written to a connection that the server is just
	// closing, its outcome is unknown.
	idleTimeout = 30 * time.Second

	// maxIdleConns is how many unused connections the client keeps: as many as requests run at the same time on a
	// busy mount. With fewer, most requests of a burst make a TLS handshake, which costs more than the rest.
	maxIdleConns = 100
)

// newTransport returns a transport that connects to the host of base, or to the proxy that the environment names for it.
//
// The rules apply to each resolved address, just before the connection to it is made: a name can have another address
// at each lookup. With a proxy they do not apply to the connection, because the operator of Vault has chosen the proxy, which may be on
// loopback. The proxy resolves names, and its own rules decide where it connects to.
func newTransport(base *url.URL, trust *tls.Config, rules rules) *http.Transport {
	transport := cleanhttp.DefaultPooledTransport()
	// All requests of a client have one host, so there is one answer. It is fixed here, so that a connection
	// without rules is always one to the proxy.
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: base})
	transport.Proxy = func(*http.Request) (*url.URL, error) { return proxy, err }
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	if proxy == nil {
		dialer.ControlContext = rules.control
	}
	transport.DialContext = dialer.DialContext
	transport.TLSClientConfig = trust
	transport.IdleConnTimeout = idleTimeout
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = maxIdleConns, maxIdleConns
	transport.MaxResponseHeaderBytes = maxResponseHeader
	// HTTP/1.1 only: a connection has one request at a time. So it is known for each request whether a byte of
	// it can have been written, and no layer below this package sends a request again.
	transport.ForceAttemptHTTP2 = false
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	return transport
}

// control is net.Dialer.ControlContext. address is the resolved IP address with its port. The error is a *refusal.
func (r rules) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the dialer was given no IP address: %w", err)
	}
	if refused := r.checkIP(target.Addr()); refused != nil {
		return refused
	}
	return nil
}
