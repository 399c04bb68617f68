package emulator_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// outcomes is the writer of a log. It sends each line on the channel; the server logs one line per request.
type outcomes chan string

func (o outcomes) Write(line []byte) (int, error) {
	o <- string(line)
	return len(line), nil
}

// hangup is a server with the sample vendor "one", and the events of its requests.
type hangup struct {
	srv *emulator.Server
	// arrived receives a value when the server has read a request.
	arrived chan struct{}
	// finished receives the log line of a request when the vendor has acted, or will not act.
	finished outcomes
}

// newHangup serves the sample vendor with one fault, which applies once. A request whose path ends in /gone
// reaches the vendor only after the server has noticed that the client hung up.
func newHangup(t *testing.T, fault string) *hangup {
	t.Helper()
	h := &hangup{arrived: make(chan struct{}, 10), finished: make(outcomes, 10)}
	vendor := signalArrival(sample("one"), h.arrived)
	newService := vendor.New
	vendor.New = func(env *emulator.Env) emulator.Service {
		service := newService(env)
		issue := service.Endpoints[0].Handler
		service.Endpoints[0].Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/gone" {
				<-r.Context().Done()
			}
			issue.ServeHTTP(w, r)
		})
		return service
	}
	logger := slog.New(slog.NewTextHandler(h.finished, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.srv = start(t, emulator.Config{PlainHTTP: true, Logger: logger}, vendor)
	status, answer := control(t, h.srv, http.MethodPost, "/faults",
		fmt.Sprintf(`{"vendor":"one","route":"*","times":1,%s}`, fault))
	require.Equal(t, 200, status, answer)
	return h
}

// send sends a request and hangs up as soon as the server has read it.
func (h *hangup) send(t *testing.T, path string) {
	t.Helper()
	address, err := url.Parse(h.srv.URL("one"))
	require.NoError(t, err)
	conn, err := net.Dial("tcp", address.Host)
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST %s%s HTTP/1.1\r\nHost: emulator\r\nContent-Length: 0\r\n\r\n", address.Path, path)
	require.NoError(t, err)
	<-h.arrived
	require.NoError(t, conn.Close())
}

// credentials returns the history from the control API.
func (h *hangup) credentials(t *testing.T) []any {
	t.Helper()
	status, answer := control(t, h.srv, http.MethodGet, "/credentials?vendor=one", "")
	require.Equal(t, 200, status)
	return answer["credentials"].([]any)
}

func TestDelay_HangupWithoutTheFlag_LeavesNothing(t *testing.T) {
	h := newHangup(t, `"delay":"1h"`)
	h.send(t, "")
	require.Contains(t, <-h.finished, "status=0 dropped=true")
	require.Empty(t, h.credentials(t))
	require.Equal(t, 0, h.srv.Requests("one")[0].Status)
}

func TestFinishAfterHangup_ClientGone_CredentialAppears(t *testing.T) {
	h := newHangup(t, `"delay":"1ms","finish_after_hangup":true`)
	h.send(t, "/gone?marker=m")
	require.Contains(t, <-h.finished, "status=200 dropped=false")
	credentials := h.credentials(t)
	require.Len(t, credentials, 1)
	issued := credentials[0].(map[string]any)
	require.Equal(t, "m", issued["marker"])
	require.Equal(t, true, issued["live"])
	require.Equal(t, 200, h.srv.Requests("one")[0].Status)
	require.Empty(t, h.srv.Faults("one"))
}

func TestFinishAfterHangup_ClientThatWaits_GetsItsAnswer(t *testing.T) {
	h := newHangup(t, `"delay":"1ms","finish_after_hangup":true`)
	status, _, body := call(t, newClient(t, h.srv), http.MethodPost, h.srv.URL("one"), "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"answer":"0123456789"}`, body)
	require.Len(t, h.credentials(t), 1)
}

func TestFinishAfterHangup_DropAfter_LosesTheAnswerAnyway(t *testing.T) {
	h := newHangup(t, `"delay":"1ms","finish_after_hangup":true,"drop_after":true`)
	_, _, _, err := try(t, newClient(t, h.srv), http.MethodPost, h.srv.URL("one"), "")
	require.Error(t, err)
	require.Contains(t, <-h.finished, "status=200 dropped=true")
	require.Len(t, h.credentials(t), 1)
}

func TestFinishAfterHangup_Close_EndsTheWork(t *testing.T) {
	h := newHangup(t, `"delay":"1h","finish_after_hangup":true`)
	h.send(t, "")
	require.NoError(t, h.srv.Close())
	select {
	case line := <-h.finished:
		require.Contains(t, line, "status=0 dropped=true")
	default:
		require.Fail(t, "Close returned before the request had ended")
	}
	require.Empty(t, h.srv.Credentials("one"))
}

func TestFinishAfterHangup_Reset_EndsTheWork(t *testing.T) {
	h := newHangup(t, `"delay":"1h","finish_after_hangup":true`)
	h.send(t, "")
	awaitTaken(t, h.srv)
	status, _ := control(t, h.srv, http.MethodPost, "/reset", "")
	require.Equal(t, 200, status)
	require.Contains(t, <-h.finished, "status=0 dropped=true")
	require.Empty(t, h.credentials(t))

	status, _, _ = call(t, newClient(t, h.srv), http.MethodPost, h.srv.URL("one"), "")
	require.Equal(t, 200, status)
	require.Len(t, h.credentials(t), 1, "only the request after the reset")
}

func TestFinishAfterHangup_ClearedFaults_LeaveTheWorkPending(t *testing.T) {
	h := newHangup(t, `"delay":"20ms","finish_after_hangup":true`)
	h.send(t, "/gone")
	awaitTaken(t, h.srv)
	control(t, h.srv, http.MethodDelete, "/faults", "")
	require.Contains(t, <-h.finished, "status=200 dropped=false")
	require.Len(t, h.credentials(t), 1)
}

// awaitTaken waits until a request has taken the vendor's only fault.
func awaitTaken(t *testing.T, srv *emulator.Server) {
	t.Helper()
	require.Eventually(t, func() bool { return len(srv.Faults("one")) == 0 }, time.Minute, time.Millisecond)
}
