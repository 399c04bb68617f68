package devserver

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorded is one call that the fake control API received.
type recorded struct {
	Method, URI string
	Body        map[string]any
}

// newRecorder starts a fake control API that gives the same answer to every call, and records the calls.
func newRecorder(t *testing.T, status int, answer string) (*Control, *[]recorded) {
	t.Helper()
	calls := &[]recorded{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := recorded{Method: r.Method, URI: r.URL.RequestURI()}
		if text, err := io.ReadAll(r.Body); err == nil && len(text) > 0 {
			assert.NoError(t, json.Unmarshal(text, &call.Body))
			assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
		}
		*calls = append(*calls, call)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return NewControl(server.URL + "/"), calls
}

func TestCredentials_LiveAndEnded_AreDecoded(t *testing.T) {
	control, calls := newRecorder(t, http.StatusOK, `{"credentials": [
		{"id": "a", "kind": "login", "marker": "", "issued_at": "2026-01-02T03:04:05Z", "expires_at": null, "ended_at": null, "ended_by": "", "live": true},
		{"id": "b", "kind": "leased", "marker": "m", "issued_at": "2026-01-02T03:04:05Z", "expires_at": "2026-01-02T04:04:05Z", "ended_at": "2026-01-02T03:30:00Z", "ended_by": "revoked", "live": false}]}`)
	credentials, err := control.Credentials(t.Context(), "f&d")
	require.NoError(t, err)
	require.Len(t, credentials, 2)
	assert.True(t, credentials[0].Live)
	assert.Nil(t, credentials[0].ExpiresAt)
	assert.Equal(t, "revoked", credentials[1].EndedBy)
	assert.Equal(t, time.Date(2026, 1, 2, 3, 30, 0, 0, time.UTC), *credentials[1].EndedAt)
	assert.Equal(t, []recorded{{Method: "GET", URI: "/credentials?vendor=f%26d"}}, *calls)
}

func TestRequests_SeveralCalls_KeepTheirOrder(t *testing.T) {
	control, _ := newRecorder(t, http.StatusOK, `{"requests": [
		{"at": "2026-01-02T03:04:05Z", "method": "POST", "path": "/x", "status": 200, "operation": "password"},
		{"at": "2026-01-02T03:04:06Z", "method": "POST", "path": "/x", "status": 400, "operation": "custom_token"}]}`)
	requests, err := control.Requests(t.Context(), "ftd")
	require.NoError(t, err)
	require.Len(t, requests, 2)
	assert.Equal(t, "password", requests[0].Operation)
	assert.Equal(t, 400, requests[1].Status)
}

func TestControl_EveryCall_HasTheDocumentedForm(t *testing.T) {
	control, calls := newRecorder(t, http.StatusOK, `{}`)
	ctx := t.Context()
	require.NoError(t, control.AddFault(ctx, Fault{Vendor: "ftd", Route: "/token", Status: 503, Times: 2}))
	require.NoError(t, control.AddFault(ctx, Fault{Vendor: "ftd", Route: "/token", Delay: 1500 * time.Millisecond}))
	require.NoError(t, control.AddFault(ctx, Fault{Vendor: "ftd", Route: "/token", DropAfter: true}))
	require.NoError(t, control.AddFault(ctx, Fault{Vendor: "ftd", Route: "/token", Delay: time.Second, FinishAfterHangup: true}))
	require.NoError(t, control.ClearFaults(ctx, "ftd"))
	_, err := control.Act(ctx, "ftd", "change_password", map[string]string{"password": "x"})
	require.NoError(t, err)
	require.NoError(t, control.Advance(ctx, 30*time.Minute))
	require.NoError(t, control.SetSwitch(ctx, "ftd", "evict", "newest"))
	require.NoError(t, control.Reset(ctx))
	assert.Equal(t, []recorded{
		{"POST", "/faults", map[string]any{"vendor": "ftd", "route": "/token", "status": 503.0, "times": 2.0}},
		{"POST", "/faults", map[string]any{"vendor": "ftd", "route": "/token", "delay": "1.5s"}},
		{"POST", "/faults", map[string]any{"vendor": "ftd", "route": "/token", "drop_after": true}},
		{"POST", "/faults", map[string]any{"vendor": "ftd", "route": "/token", "delay": "1s", "finish_after_hangup": true}},
		{"DELETE", "/faults?vendor=ftd", nil},
		{"POST", "/actions", map[string]any{"vendor": "ftd", "action": "change_password", "arguments": map[string]any{"password": "x"}}},
		{"POST", "/clock", map[string]any{"advance": "30m0s"}},
		{"POST", "/switches", map[string]any{"vendor": "ftd", "name": "evict", "value": "newest"}},
		{"POST", "/reset", map[string]any{}},
	}, *calls)
}

func TestControl_RefusedCall_ReturnsTheReason(t *testing.T) {
	control, _ := newRecorder(t, http.StatusBadRequest, "no such vendor\n")
	err := control.Reset(t.Context())
	require.Error(t, err)
	assert.ErrorContains(t, err, "POST /reset: 400 Bad Request: no such vendor")
}
