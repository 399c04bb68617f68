package httpclient_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

func newClient(t *testing.T, options httpclient.Options) *httpclient.Client {
	t.Helper()
	if options.RetryWait == 0 {
		options.RetryWait = time.Millisecond
	}
	if options.RequestTimeout == 0 {
		options.RequestTimeout = 5 * time.Second
	}
	options.AllowAddresses = providertest.Loopback()
	client, err := httpclient.New(options)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// serve starts a plain server on loopback and counts its requests.
func serve(t *testing.T, handler http.HandlerFunc) (address string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handler(w, r)
	}))
	server.Config.ErrorLog = quietLog()
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, requests
}

// hangUp closes the connection without another byte.
func hangUp(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = connection.Close()
	}
}

// closedPort returns an address without a listener.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return "http://" + listener.Addr().String()
}

func create() httpclient.Request {
	return httpclient.Request{Op: "test: create", Method: http.MethodPost, Path: "/things", JSON: map[string]string{"name": "x"}}
}

func read() httpclient.Request {
	return httpclient.Request{Op: "test: read", Path: "/things", Idempotent: true}
}

func TestDo_Request_IsSentAsGiven(t *testing.T) {
	var got *http.Request
	var body []byte
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"id":7}`))
	})
	client := newClient(t, httpclient.Options{Address: address + "/api/", UserAgent: "vendorauth/1"})
	assert.Equal(t, address+"/api", client.BaseURL())

	response, err := client.Do(t.Context(), httpclient.Request{
		Op: "test: create", Method: http.MethodPost, Path: "/things/a%2Fb",
		Query: url.Values{"filter": {"name:x y"}}, Header: http.Header{"x-lw-uaks": {"s"}},
		JSON: map[string]any{"n": 1},
	})
	require.NoError(t, err)
	assert.Equal(t, http.StatusCreated, response.Status)
	assert.True(t, response.OK())
	var decoded struct {
		ID int `json:"id"`
	}
	require.NoError(t, response.Decode(&decoded))
	assert.Equal(t, 7, decoded.ID)

	assert.Equal(t, http.MethodPost, got.Method)
	assert.Equal(t, "/api/things/a%2Fb?filter=name%3Ax+y", got.RequestURI)
	assert.Equal(t, "s", got.Header.Get("X-Lw-Uaks"))
	assert.Equal(t, "vendorauth/1", got.Header.Get("User-Agent"))
	assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
	assert.JSONEq(t, `{"n":1}`, string(body))
}

func TestDo_Form_IsSentURLEncoded(t *testing.T) {
	var form url.Values
	address, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.PostForm
	})
	client := newClient(t, httpclient.Options{Address: address})
	_, err := client.Do(t.Context(), httpclient.Request{Op: "test: create", Method: http.MethodPost, Form: url.Values{"a": {"&="}}})
	require.NoError(t, err)
	assert.Equal(t, url.Values{"a": {"&="}}, form)
}

func TestDo_Retry_ResponseHasTimesOfLastAttempt(t *testing.T) {
	clock := providertest.NewClock()
	start := clock.Now()
	served := start.Add(time.Hour)
	var attempts int
	address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		attempts++
		clock.Advance(10 * time.Second)
		w.Header().Set("Date", served.Format(http.TimeFormat))
		if attempts == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	client := newClient(t, httpclient.Options{Address: address, Clock: clock, MaxRetries: 1})
	response, err := client.Do(t.Context(), read())
	require.NoError(t, err)
	assert.Equal(t, served, response.ServerTime)
	assert.Equal(t, start.Add(10*time.Second), response.SentAt, "the second attempt began after the answer to the first one")
}

func TestDo_Redirect_IsNotFollowed(t *testing.T) {
	elsewhere, visits := serve(t, func(http.ResponseWriter, *http.Request) {})
	address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", elsewhere+"/login?secret=hunter2")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	client := newClient(t, httpclient.Options{Address: address})
	response, err := client.Do(t.Context(), create())
	require.NoError(t, err)
	assert.Equal(t, http.StatusTemporaryRedirect, response.Status)
	assert.Zero(t, visits.Load())
	failure := response.StatusError("")
	assert.Equal(t, provider.ClassInvalid, failure.Class)
	assert.Contains(t, failure.Detail, strings.TrimPrefix(elsewhere, "http://"))
	assert.NotContains(t, failure.Error(), "hunter2")
	assert.NotContains(t, failure.Error(), "login")
}

func TestDo_ConnectionRefused_IsUnavailable(t *testing.T) {
	client := newClient(t, httpclient.Options{Address: closedPort(t), MaxRetries: 1})
	for _, request := range []httpclient.Request{create(), read()} {
		_, err := client.Do(t.Context(), request)
		assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
		assert.ErrorContains(t, err, "nothing was sent")
	}
}

func TestDo_UnknownHost_IsUnavailable(t *testing.T) {
	client := newClient(t, httpclient.Options{Address: "host.invalid"})
	_, err := client.Do(t.Context(), create())
	assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
}

// Each way to lose an answer, for a request that creates and for one that reads.
func TestDo_LostAnswer_IsAmbiguousForACreate(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"connection dropped": func(w http.ResponseWriter, _ *http.Request) { hangUp(w) },
		"body truncated": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"token":"hunter2`))
		},
		"body over the limit": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Repeat([]byte(" "), httpclient.MaxBody+1))
		},
		"body endless": func(w http.ResponseWriter, _ *http.Request) {
			for chunk := bytes.Repeat([]byte("hunter2 "), 1024); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"header endless": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		},
		"not HTTP": func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = connection.Write([]byte("hello\r\n\r\n"))
				_ = connection.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			address, requests := serve(t, handler)
			client := newClient(t, httpclient.Options{Address: address, MaxRetries: 2})

			_, err := client.Do(t.Context(), create())
			assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
			assert.EqualValues(t, 1, requests.Load(), "a create is sent once")
			assert.NotContains(t, err.Error(), "hunter2")

			_, err = client.Do(t.Context(), read())
			assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
		})
	}
}

func TestDo_Timeout_IsAmbiguousForACreate(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"before the header": func(http.ResponseWriter) {},
		"within the body": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			address, requests := serve(t, func(w http.ResponseWriter, r *http.Request) {
				begin(w)
				_, _ = io.Copy(io.Discard, r.Body) // so that the server notices when the client disconnects
				<-r.Context().Done()
			})
			client := newClient(t, httpclient.Options{Address: address, RequestTimeout: 250 * time.Millisecond, MaxRetries: 1})
			_, err := client.Do(t.Context(), create())
			assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
			assert.ErrorContains(t, err, "no complete answer arrived within 250ms")
			assert.EqualValues(t, 1, requests.Load())
			_, err = client.Do(t.Context(), read())
			assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
			assert.EqualValues(t, 3, requests.Load(), "each attempt has its own timeout")
		})
	}
}

func TestDo_Status_DecidesAboutRetry(t *testing.T) {
	for _, test := range []struct {
		name     string
		status   int
		header   map[string]string
		attempts int64 // of an idempotent request with two retries
	}{
		{name: "429", status: 429, attempts: 3},
		{name: "502", status: 502, attempts: 3},
		{name: "503", status: 503, attempts: 3},
		{name: "504", status: 504, attempts: 3},
		{name: "500 is an answer", status: 500, attempts: 1},
		{name: "400 is an answer", status: 400, attempts: 1},
		{name: "401 is an answer", status: 401, attempts: 1},
		{name: "404 is an answer", status: 404, attempts: 1},
		{name: "423 is an answer", status: 423, attempts: 1},
		{name: "Retry-After of zero", status: 503, header: map[string]string{"Retry-After": "0"}, attempts: 3},
		{name: "Retry-After too far off", status: 503, header: map[string]string{"Retry-After": "3600"}, attempts: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			address, requests := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range test.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
			})
			client := newClient(t, httpclient.Options{Address: address, MaxRetries: 2})
			response, err := client.Do(t.Context(), read())
			require.NoError(t, err)
			assert.Equal(t, test.status, response.Status, "the caller gets the last answer")
			assert.Equal(t, test.attempts, requests.Load())

			requests.Store(0)
			response, err = client.Do(t.Context(), create())
			require.NoError(t, err)
			assert.Equal(t, test.status, response.Status)
			assert.EqualValues(t, 1, requests.Load(), "a create is sent once, whatever the answer is")
		})
	}
}

func TestDo_Retry_SendsTheBodyAgain(t *testing.T) {
	var bodies []string
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		if len(bodies) == 1 {
			hangUp(w)
		}
	})
	client := newClient(t, httpclient.Options{Address: address, MaxRetries: 1})
	request := create()
	request.Idempotent = true
	response, err := client.Do(t.Context(), request)
	require.NoError(t, err)
	assert.True(t, response.OK())
	assert.Equal(t, []string{`{"name":"x"}`, `{"name":"x"}`}, bodies)
}

func TestDo_RetryAfterBeyondDeadline_IsNotWaitedFor(t *testing.T) {
	address, requests := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "4")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	client := newClient(t, httpclient.Options{Address: address, MaxRetries: 2})
	response, err := client.Do(ctx, read())
	require.NoError(t, err)
	assert.EqualValues(t, 1, requests.Load())
	assert.Equal(t, 4*time.Second, response.RetryAfter())
}

func TestDo_Secrets_AreNotLogged(t *testing.T) {
	var out bytes.Buffer
	logger := hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Trace})
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/drop" {
			hangUp(w)
		}
		_, _ = w.Write([]byte(`{"token":"hunter2"}`))
	})
	client := newClient(t, httpclient.Options{Address: address, Logger: logger, MaxRetries: 1})
	request := httpclient.Request{
		Op: "test: create", Method: http.MethodPost, JSON: map[string]string{"password": "hunter2"},
		Header: http.Header{"Authorization": {"Bearer hunter2"}}, Query: url.Values{"key": {"hunter2"}}, Secrets: []string{"hunter2"},
	}
	_, err := client.Do(t.Context(), request)
	require.NoError(t, err)
	request.Path, request.Idempotent = "/drop", true
	_, err = client.Do(t.Context(), request)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter2")
	assert.Contains(t, out.String(), "test: create")
	assert.NotContains(t, out.String(), "hunter2")
}

func TestDo_InvalidRequest_IsInvalid(t *testing.T) {
	client := newClient(t, httpclient.Options{Address: "http://127.0.0.1:1"})
	_, err := client.Do(t.Context(), httpclient.Request{Op: "test: create", JSON: func() {}})
	assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err))
	_, err = client.Do(t.Context(), httpclient.Request{Op: "test: create", Method: "A B"})
	assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err))
}
