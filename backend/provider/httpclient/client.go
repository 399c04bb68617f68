package httpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// MaxBody is the largest answer that is read, in bytes. Token answers are a few kilobytes; an
	// endless one must not fill the memory of the Vault server.
	MaxBody = 1 << 20

	// maxResponseHeader bounds the header of an answer, in bytes.
	maxResponseHeader = 64 << 10

	// idleTimeout is how long an unused connection is kept. It is shorter than the 60 seconds after
	// which common load balancers hang up: a create that is written into a connection which the other
	// side is just closing has an unknown outcome.
	idleTimeout = 30 * time.Second

	defaultRequestTimeout = 30 * time.Second
	defaultRetryWait      = 250 * time.Millisecond

	// maxRetryWait bounds every wait between two attempts. A vendor that asks for more is not waited
	// for: its answer goes to the caller, who learns from RetryAfter when to come back.
	maxRetryWait = 5 * time.Second
)

// Options say how a [Client] is made. Only Address is needed.
type Options struct {
	// Name is the config's name in the mount; it stands in remedies.
	Name string
	// Address is the vendor's host or URL; see [ParseAddress].
	Address string
	// CACert is a PEM bundle to trust instead of the system's.
	CACert string
	// TLSServerName overrides the name that the certificate must carry.
	TLSServerName string
	// TLSSkipVerify accepts any certificate.
	TLSSkipVerify bool
	// RequestTimeout bounds one exchange, from dialling to the last byte of the body. Zero means 30
	// seconds.
	RequestTimeout time.Duration
	// MaxRetries is how often a repeatable request is repeated. Zero means not at all.
	MaxRetries int
	// RetryWait is the wait before the first repetition; it doubles from there, up to five seconds.
	// Zero means 250 milliseconds. Waits between attempts are real time, not the Clock's.
	RetryWait time.Duration
	// UserAgent is the User-Agent header of all requests.
	UserAgent string
	// Logger receives one debug line an exchange: step, method, status, duration. Nil means none.
	Logger hclog.Logger
	// Clock stamps [Response.SentAt]. Nil means the system's.
	Clock provider.Clock
}

// FromConfig takes the options from a connection's configuration.
func FromConfig(config provider.Config) Options {
	return Options{
		Name:           config.Name,
		Address:        config.Address,
		CACert:         config.CACert,
		TLSServerName:  config.TLSServerName,
		TLSSkipVerify:  config.TLSSkipVerify,
		RequestTimeout: config.RequestTimeout,
		MaxRetries:     config.MaxRetries,
		UserAgent:      config.UserAgent,
		Logger:         config.Logger,
		Clock:          config.Clock,
	}
}

// Client sends requests to one base URL. It is safe for concurrent use.
type Client struct {
	options Options
	base    *url.URL
	http    *http.Client
}

// New returns a client. It makes no network call and starts no goroutine. A refusal is ClassInvalid and
// names the field "address" or "ca_cert".
func New(options Options) (*Client, error) {
	base, err := ParseAddress(options.Address)
	if err != nil {
		return nil, err
	}
	trust, err := tlsConfig(options)
	if err != nil {
		return nil, err
	}
	if options.RequestTimeout <= 0 {
		options.RequestTimeout = defaultRequestTimeout
	}
	if options.RetryWait <= 0 {
		options.RetryWait = defaultRetryWait
	}
	if options.Logger == nil {
		options.Logger = hclog.NewNullLogger()
	}
	if options.Clock == nil {
		options.Clock = provider.SystemClock{}
	}

	// The pooled transport keeps the proxy settings of the environment.
	transport := cleanhttp.DefaultPooledTransport()
	transport.TLSClientConfig = trust
	transport.IdleConnTimeout = idleTimeout
	transport.MaxResponseHeaderBytes = maxResponseHeader
	// HTTP/1.1 only: one request at a time on a connection, so that whether a request can have been
	// written is known for each, and nothing below this package sends one again.
	transport.ForceAttemptHTTP2 = false
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)

	return &Client{
		options: options,
		base:    base,
		http: &http.Client{
			Transport: boundedTransport{transport},
			Timeout:   options.RequestTimeout,
			// A redirect is an answer like any other. Following one would carry a root credential to
			// wherever the answer points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// BaseURL returns the normalised address, without a trailing slash.
func (c *Client) BaseURL() string { return c.base.String() }

// RequestTimeout returns what bounds one exchange.
func (c *Client) RequestTimeout() time.Duration { return c.options.RequestTimeout }

// Close closes idle connections. The client is not used afterwards.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is one request to a vendor.
type Request struct {
	// Op is the step in the vendor's words, "ftd: custom_token"; it stands in errors and logs.
	Op string
	// Method is the HTTP method; empty means GET.
	Method string
	// Path is appended to the base URL. A segment that comes from outside is escaped by the caller.
	Path string
	// Query is the query string. Optional.
	Query url.Values
	// Header holds further headers. Optional.
	Header http.Header
	// JSON is sent as a JSON body. Optional.
	JSON any
	// Form is sent as a form body when JSON is nil. Optional.
	Form url.Values
	// Idempotent says that the request changes nothing, or that doing it twice is the same as doing it
	// once. It is then sent again on connection errors and on 429, 502, 503 and 504, and a lost answer
	// is ClassUnavailable. Otherwise it is sent at most once, and a lost answer is ClassAmbiguous.
	Idempotent bool
	// Secrets are redacted from any text that is passed on: whatever the request carries that must not
	// be seen.
	Secrets []string
}

// Do sends the request and returns whatever complete answer comes, of any status: the caller looks at
// [Response.Status]. An error is a *[provider.Error]: ClassUnavailable when nothing was sent or the
// request is repeatable, ClassInvalid when the certificate or the address is wrong, ClassAmbiguous when
// something may have been sent and no complete answer of at most [MaxBody] bytes came. The Location of
// a redirect is not followed.
func (c *Client) Do(ctx context.Context, request Request) (*Response, error) {
	body, contentType, err := request.body()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, c.transportError(ctx, request, false, err)
	}
	state := &exchange{clock: c.options.Clock}
	wire, err := c.wireRequest(state.trace(ctx), request, body, contentType)
	if err != nil {
		return nil, err
	}

	started := time.Now()
	answer, err := c.send(wire, request)
	sentAt, sent := state.result()
	if err != nil {
		failure := c.transportError(ctx, request, sent, err)
		c.options.Logger.Debug("vendor request failed", "op", request.Op, "method", wire.Method,
			"class", failure.Class.String(), "duration", time.Since(started).Round(time.Millisecond))
		return nil, failure
	}
	defer answer.Body.Close() // boundedTransport has read it whole
	// boundedTransport has read the body already, so this cannot fail.
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, c.transportError(ctx, request, true, err)
	}
	c.options.Logger.Debug("vendor request", "op", request.Op, "method", wire.Method,
		"status", answer.StatusCode, "duration", time.Since(started).Round(time.Millisecond))

	response := &Response{
		Status:  answer.StatusCode,
		Header:  answer.Header,
		Body:    content,
		SentAt:  sentAt,
		request: request,
		now:     c.options.Clock.Now(),
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		response.ServerTime = date
	}
	return response, nil
}

// send hands the request to the network: once, unless it may be repeated.
func (c *Client) send(wire *http.Request, request Request) (*http.Response, error) {
	if !request.Idempotent || c.options.MaxRetries <= 0 {
		return c.http.Do(wire)
	}
	repeatable, err := retryablehttp.FromRequest(wire)
	if err != nil {
		return nil, err
	}
	// One retrying client a request, so that its hooks know the request's deadline. It holds nothing
	// but the hooks; connections belong to c.http.
	retrying := &retryablehttp.Client{
		HTTPClient:   c.http,
		RetryMax:     c.options.MaxRetries,
		RetryWaitMin: c.options.RetryWait,
		RetryWaitMax: maxRetryWait,
		CheckRetry:   c.checkRetry,
		Backoff:      c.backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return retrying.Do(repeatable)
}

// checkRetry decides whether an attempt is worth another one. Its error is always nil, so that the
// attempt's own error or answer reaches the caller.
func (c *Client) checkRetry(ctx context.Context, answer *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, nil
	}
	if err != nil {
		return !lasting(err), nil
	}
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return false, nil
	}
	wait := retryAfter(answer.Header, c.options.Clock.Now())
	if wait > maxRetryWait {
		return false, nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return false, nil
	}
	return true, nil
}

// backoff waits as long as the vendor asked, or doubles from shortest to longest.
func (c *Client) backoff(shortest, longest time.Duration, attempt int, answer *http.Response) time.Duration {
	if answer != nil {
		if wait := retryAfter(answer.Header, c.options.Clock.Now()); wait > 0 {
			return wait
		}
	}
	return retryablehttp.DefaultBackoff(shortest, longest, attempt, nil)
}

func (c *Client) wireRequest(ctx context.Context, request Request, body []byte, contentType string) (*http.Request, error) {
	target := c.base.JoinPath(request.Path)
	target.RawQuery = request.Query.Encode()
	method := request.Method
	if method == "" {
		method = http.MethodGet
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	wire, err := http.NewRequestWithContext(ctx, method, target.String(), reader)
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassInvalid, Op: request.Op, Message: "the request cannot be built", Err: err}
	}
	wire.Header.Set("Accept", "application/json")
	if c.options.UserAgent != "" {
		wire.Header.Set("User-Agent", c.options.UserAgent)
	}
	if contentType != "" {
		wire.Header.Set("Content-Type", contentType)
	}
	for name, values := range request.Header {
		wire.Header[http.CanonicalHeaderKey(name)] = values
	}
	return wire, nil
}

func (r Request) body() (content []byte, contentType string, err error) {
	switch {
	case r.JSON != nil:
		content, err := json.Marshal(r.JSON)
		if err != nil {
			return nil, "", &provider.Error{Class: provider.ClassInvalid, Op: r.Op, Message: "the request cannot be written as JSON", Err: err}
		}
		return content, "application/json", nil
	case r.Form != nil:
		return []byte(r.Form.Encode()), "application/x-www-form-urlencoded", nil
	case strings.EqualFold(r.Method, http.MethodPost), strings.EqualFold(r.Method, http.MethodPut):
		// Servers differ on a POST without a length, so an empty one is sent explicitly.
		return []byte{}, "", nil
	}
	return nil, "", nil
}
