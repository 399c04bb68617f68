package httpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// MaxBody is the largest body of an answer, in bytes. An answer with a token has a few kilobytes. The limit
	// protects the memory of the Vault server from an endless answer.
	MaxBody = 1 << 20

	// patience is how long a caller must have waited before its deadline says something about the host.
	patience = 5 * time.Second

	defaultRequestTimeout = 30 * time.Second
	defaultRetryWait      = 250 * time.Millisecond

	// maxRetryWait is the longest wait between two attempts. If the vendor asks for a longer one, the client
	// returns the answer, and RetryAfter tells the caller when to try again.
	maxRetryWait = 5 * time.Second
)

// Options are the settings of a [Client]. Only Address is required.
type Options struct {
	// Name is the config's name in the mount. Remedies contain it.
	Name string
	// Address is the vendor's host or URL; see [ParseAddress].
	Address string
	// ExactPath sends requests without a Path to the path of Address exactly as it is written, for example with its trailing
	// slash. It is for an Address that is the URL of one call. Otherwise the path is cleaned.
	ExactPath bool
	// CACert is a PEM bundle of certificates to trust instead of the system's.
	CACert string
	// TLSServerName is the name that the server's certificate must carry instead of the address's host.
	TLSServerName string
	// TLSSkipVerify accepts any certificate.
	TLSSkipVerify bool
	// RequestTimeout limits one exchange, from dialing to the last byte of the body. Zero means 30 seconds.
	RequestTimeout time.Duration
	// MaxRetries is how many times an idempotent request is sent again. Zero means never.
	MaxRetries int
	// RetryWait is the wait before the first retry. It doubles with each further one, up to five seconds. Zero
	// means 250 milliseconds. The waits use the machine's time, not the Clock.
	RetryWait time.Duration
	// UserAgent is the User-Agent header of all requests.
	UserAgent string
	// Logger receives one debug line for each exchange: step, method, status and duration. Nil means none.
	Logger hclog.Logger
	// Clock is the source of [Response.SentAt]. Nil means the system's clock.
	Clock provider.Clock
	// Guard decides whether and when requests are sent. Nil means always and at once.
	Guard provider.RequestGuard
	// AllowAddresses are the addresses to which requests are sent although they are loopback, link-local or metadata
	// addresses, and for which http is accepted.
	AllowAddresses provider.AddressRanges
}

// FromConfig returns the options that a connection's configuration contains.
func FromConfig(config provider.Config) Options {
	return Options{
		Name:           config.Name,
		Address:        config.Address,
		CACert:         config.CACert,
		TLSServerName:  config.TLSServerName,
		TLSSkipVerify:  config.TLSSkipVerify,
		RequestTimeout: config.RequestTimeout,
		MaxRetries:     config.MaxRetries,
		RetryWait:      config.RetryWait,
		UserAgent:      config.UserAgent,
		Logger:         config.Logger,
		Clock:          config.Clock,
		Guard:          config.Guard,
		AllowAddresses: config.AllowAddresses,
	}
}

// Client sends requests to one base URL. It is safe for concurrent use.
type Client struct {
	options Options
	base    *url.URL
	// host is "name:port" of base, with the port also where base has the default one.
	host string
	http *http.Client
}

// New returns a client. It makes no network call and starts no goroutine. The error is ClassInvalid and names the
// field "address" or "ca_cert". It refuses an address as [ParseAddress] and [CheckTarget] do, and a malformed proxy in the
// environment as [provider.CheckProxy] does, without a field.
func New(options Options) (*Client, error) {
	if err := provider.CheckProxy(os.Getenv); err != nil {
		return nil, &provider.Error{Class: provider.ClassInvalid, Message: err.Error()}
	}
	parse := ParseAddress
	if options.ExactPath {
		parse = parseAddress
	}
	base, err := parse(options.Address)
	if err != nil {
		return nil, err
	}
	if err := CheckTarget(base, options.AllowAddresses); err != nil {
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

	return &Client{
		options: options,
		base:    base,
		host:    hostOf(base),
		http: &http.Client{
			Transport: boundedTransport{newTransport(base, trust, newRules(base, options.AllowAddresses))},
			Timeout:   options.RequestTimeout,
			// A redirect is returned like any other answer. Following it would send a root credential to the
			// host that the answer names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// BaseURL returns the normalized address, without a trailing slash unless the path is exact.
func (c *Client) BaseURL() string { return c.base.String() }

// RequestTimeout returns the time limit of one exchange.
func (c *Client) RequestTimeout() time.Duration { return c.options.RequestTimeout }

// Close closes idle connections. The caller does not use the client afterwards.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is one request to a vendor.
type Request struct {
	// Op is the step, as the vendor names it: "ftd: custom_token". Errors and logs contain it.
	Op string
	// Method is the HTTP method; empty means GET.
	Method string
	// Path is appended to the base URL. The caller escapes each segment that comes from outside.
	Path string
	// Query is the query string. Optional.
	Query url.Values
	// Header holds further headers. Optional.
	Header http.Header
	// JSON is sent as a JSON body. Optional.
	JSON any
	// Form is sent as a form body when JSON is nil. Optional.
	Form url.Values
	// Idempotent is true if the request changes nothing, or if sending it twice has the effect of sending it
	// once. Then it is sent again after connection errors and after the statuses 429, 502, 503 and 504, and a
	// lost answer is ClassUnavailable. Otherwise it is sent at most once, and a lost answer is ClassAmbiguous.
	Idempotent bool
	// Secrets are the secrets in the request. They are redacted from every text of the answer that is shown.
	Secrets []string
}

// Do sends the request and returns the complete answer, whatever its status is. The caller checks
// [Response.Status]. The error is a *[provider.Error]: ClassUnavailable if nothing was sent or the request is
// idempotent, ClassInvalid if the certificate or the address is wrong or the address is refused, and ClassAmbiguous if a byte may have been
// sent and no complete answer of at most [MaxBody] bytes arrived. Redirects are not followed.
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

	done, err := c.admit(ctx, request)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	answer, err := c.send(wire, request)
	sentAt, sent := state.result()
	if err != nil {
		failure := c.transportError(ctx, request, sent, err)
		if ctx.Err() != nil && time.Since(started) < patience {
			failure.Host = "" // the caller did not wait long enough to blame the host
		}
		if sent {
			done(nil) // the host accepts connections; that it does not answer may concern one operation
		} else {
			done(failure)
		}
		c.options.Logger.Debug("vendor request failed", "op", request.Op, "method", wire.Method,
			"class", failure.Class.String(), "duration", time.Since(started).Round(time.Millisecond).String())
		return nil, failure
	}
	done(nil)
	defer answer.Body.Close()
	// boundedTransport has read the body already, so this cannot fail.
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, c.transportError(ctx, request, true, err)
	}
	c.options.Logger.Debug("vendor request", "op", request.Op, "method", wire.Method,
		"status", answer.StatusCode, "duration", time.Since(started).Round(time.Millisecond).String())

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
	c.describe(ctx, wire.Method, response)
	return response, nil
}

// send sends the request: once, unless it is idempotent.
func (c *Client) send(wire *http.Request, request Request) (*http.Response, error) {
	if !request.Idempotent || c.options.MaxRetries <= 0 {
		return c.http.Do(wire)
	}
	repeatable, err := retryablehttp.FromRequest(wire)
	if err != nil {
		return nil, err
	}
	// One retrying client for each request. It is cheap: it holds the hooks only, and c.http holds the
	// connections.
	var last attempt
	retrying := &retryablehttp.Client{
		HTTPClient:   c.http,
		RetryMax:     c.options.MaxRetries,
		RetryWaitMin: c.options.RetryWait,
		RetryWaitMax: maxRetryWait,
		CheckRetry: func(ctx context.Context, answer *http.Response, err error) (bool, error) {
			last = keepAttempt(answer, err)
			return c.checkRetry(ctx, answer, err)
		},
		Backoff:      c.backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		PrepareRetry: c.pace,
	}
	answer, err := retrying.Do(repeatable)
	if errors.Is(err, provider.ErrNotSent) {
		return last.answer, last.err // the next attempt had no turn, so the last one's outcome counts
	}
	return answer, err
}

// attempt is the outcome of one attempt to send a request.
type attempt struct {
	answer *http.Response
	err    error
}

// keepAttempt keeps an outcome. The retrying client drains the answer's body before the next attempt, so it gets a copy.
func keepAttempt(answer *http.Response, err error) attempt {
	if answer == nil || err != nil {
		return attempt{answer, err}
	}
	content, err := io.ReadAll(answer.Body) // boundedTransport has read it already
	_ = answer.Body.Close()                 // which stops the timer of the attempt
	answer.Body = io.NopCloser(bytes.NewReader(content))
	kept := *answer
	kept.Body = io.NopCloser(bytes.NewReader(content))
	return attempt{&kept, err}
}

// checkRetry reports whether to send the request again. Its error is always nil, so that the caller gets the
// attempt's own error or answer.
func (c *Client) checkRetry(ctx context.Context, answer *http.Response, err error) (bool, error) {
	if ctx.Err() != nil || errors.Is(err, provider.ErrNotSent) {
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

// backoff returns the wait that the vendor asked for, or one that doubles from shortest to longest.
func (c *Client) backoff(shortest, longest time.Duration, attempt int, answer *http.Response) time.Duration {
	if answer != nil {
		if wait := retryAfter(answer.Header, c.options.Clock.Now()); wait > 0 {
			return wait
		}
	}
	return retryablehttp.DefaultBackoff(shortest, longest, attempt, nil)
}

func (c *Client) wireRequest(ctx context.Context, request Request, body []byte, contentType string) (*http.Request, error) {
	target := *c.base
	if request.Path != "" {
		target = *c.base.JoinPath(request.Path)
	}
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
		// Servers treat a POST without a length differently, so an empty body is sent explicitly.
		return []byte{}, "", nil
	}
	return nil, "", nil
}
