package emulator_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// control sends a control request and decodes the answer.
func control(t *testing.T, srv *emulator.Server, method, path, body string) (int, map[string]any) {
	t.Helper()
	status, _, content := call(t, newClient(t, srv), method, srv.ControlURL()+path, body)
	var answer map[string]any
	require.NoError(t, json.Unmarshal([]byte(content), &answer), content)
	return status, answer
}

func TestControl_Credentials_HaveEveryMember(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	call(t, newClient(t, srv), http.MethodPost, srv.URL("one")+"?marker=m", "")
	status, answer := control(t, srv, http.MethodGet, "/credentials?vendor=one", "")
	require.Equal(t, 200, status)
	list := answer["credentials"].([]any)
	require.Len(t, list, 1)
	line := list[0].(map[string]any)
	for _, member := range []string{"id", "kind", "marker", "issued_at", "expires_at", "ended_at", "ended_by", "live"} {
		require.Contains(t, line, member)
	}
	require.Equal(t, "leased", line["kind"])
	require.Equal(t, true, line["live"])
	require.Nil(t, line["ended_at"])
}

func TestControl_Requests_HaveEveryMember(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	call(t, newClient(t, srv), http.MethodPost, srv.URL("one"), "intent")
	_, answer := control(t, srv, http.MethodGet, "/requests?vendor=one", "")
	line := answer["requests"].([]any)[0].(map[string]any)
	require.NotEmpty(t, line["at"])
	delete(line, "at")
	require.Equal(t, map[string]any{"method": "POST", "path": "/api", "status": 200.0, "operation": "intent"}, line)
}

func TestControl_RequestsAfter_AreTheEndOfTheLog(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	for _, path := range []string{"intent", "issue", "other"} {
		call(t, newClient(t, srv), http.MethodPost, srv.URL("one"), path)
	}
	for after, expected := range map[string]int{"0": 3, "2": 1, "3": 0, "9": 0} {
		_, answer := control(t, srv, http.MethodGet, "/requests?vendor=one&after="+after, "")
		require.Len(t, answer["requests"], expected, after)
		require.EqualValues(t, 3, answer["total"], after)
	}
	for _, after := range []string{"-1", "x", "1.5"} {
		status, _ := control(t, srv, http.MethodGet, "/requests?vendor=one&after="+after, "")
		require.Equal(t, http.StatusBadRequest, status, after)
	}
}

func TestControl_Faults_ReadBackAsWritten(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"), sample("two"))
	status, _ := control(t, srv, http.MethodPost, "/faults", `{"vendor":"one","route":"*","status":418,"act_before":true,"body":{"a":1},
		"headers":{"Retry-After":"3"},"delay":"1ms","times":2,"skip":1}`)
	require.Equal(t, 200, status)
	status, _ = control(t, srv, http.MethodPost, "/faults", `{"vendor":"two","route":"*","drop_after":true,"delay":"5s","finish_after_hangup":true}`)
	require.Equal(t, 200, status)
	require.Equal(t, []emulator.Fault{{
		Vendor: "one", Route: "*", Status: 418, ActBefore: true, Body: text(`{"a":1}`), Header: map[string]string{"Retry-After": "3"},
		Delay: time.Millisecond, Times: 2, Skip: 1,
	}}, srv.Faults("one"))

	_, answer := control(t, srv, http.MethodGet, "/faults", "")
	require.Len(t, answer["faults"], 2)
	_, answer = control(t, srv, http.MethodGet, "/faults?vendor=two", "")
	require.Equal(t, []any{map[string]any{
		"vendor": "two", "route": "*", "drop_after": true, "delay": "5s", "finish_after_hangup": true,
	}}, answer["faults"])

	control(t, srv, http.MethodDelete, "/faults?vendor=one", "")
	require.Empty(t, srv.Faults("one"))
	require.Len(t, srv.Faults("two"), 1)

	control(t, srv, http.MethodPost, "/faults", `{"vendor":"one","route":"*","body":"<html>"}`)
	require.Equal(t, text("<html>"), srv.Faults("one")[0].Body)
}

func TestControl_ClockSwitchesActions_ApplyUntilReset(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"), sample("two"))
	_, answer := control(t, srv, http.MethodPost, "/clock", `{"advance":"30m"}`)
	require.Equal(t, "30m0s", answer["offset"])
	require.Greater(t, time.Until(srv.Now()), 29*time.Minute)

	status, _ := control(t, srv, http.MethodPost, "/switches", `{"vendor":"one","name":"mood","value":"unkind"}`)
	require.Equal(t, 200, status)
	_, answer = control(t, srv, http.MethodGet, "/switches?vendor=one", "")
	require.Equal(t, map[string]any{
		"vendor": "one", "name": "mood", "kind": "choice", "default": "kind", "value": "unkind",
		"allowed": []any{"kind", "unkind"}, "meaning": "how it answers",
	}, answer["switches"].([]any)[0])
	_, answer = control(t, srv, http.MethodGet, "/switches", "")
	require.Len(t, answer["switches"], 8)

	_, answer = control(t, srv, http.MethodGet, "/actions?vendor=two", "")
	require.Equal(t, []any{map[string]any{
		"vendor": "two", "name": "echo", "meaning": "answers what it was given", "arguments": []any{"word"},
	}}, answer["actions"])
	status, answer = control(t, srv, http.MethodPost, "/actions", `{"vendor":"two","action":"echo","arguments":{"word":"hi"}}`)
	require.Equal(t, 200, status)
	require.Equal(t, map[string]any{"word": "hi"}, answer)

	status, _ = control(t, srv, http.MethodPost, "/reset", "")
	require.Equal(t, 200, status)
	_, answer = control(t, srv, http.MethodGet, "/clock", "")
	require.Equal(t, "0s", answer["offset"])
}

func TestControl_MalformedRequest_IsRefused(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/credentials", "", 400},
		{"GET", "/credentials?vendor=none", "", 404},
		{"GET", "/requests", "", 400},
		{"GET", "/requests?vendor=none", "", 404},
		{"GET", "/faults?vendor=none", "", 404},
		{"GET", "/switches?vendor=none", "", 404},
		{"GET", "/actions?vendor=none", "", 404},
		{"DELETE", "/faults?vendor=none", "", 404},
		{"POST", "/faults", "", 400},
		{"POST", "/faults", "[]", 400},
		{"POST", "/faults", `{"vendor":"one","route":"*"}`, 400},
		{"POST", "/faults", `{"vendor":"one","route":"*","status":500,"tmies":1}`, 400},
		{"POST", "/faults", `{"vendor":"one","route":"*","delay":"soon"}`, 400},
		{"POST", "/faults", `{"vendor":"one","route":"*","status":500} {}`, 400},
		{"POST", "/faults", `{"vendor":"one","route":"*","finish_after_hangup":true}`, 400},
		{"POST", "/faults", `{"vendor":"one","route":"*","finish_after_hangup":true,"delay":"5s","drop_before":true}`, 400},
		{"POST", "/faults", `{"vendor":"one","route":"*","finish_after_hangup":"yes","delay":"5s"}`, 400},
		{"POST", "/faults", `{"route":"*","status":500}`, 400},
		{"POST", "/faults", `{"vendor":"none","route":"*","status":500}`, 404},
		{"POST", "/clock", `{}`, 400},
		{"POST", "/clock", `{"advance":"-1h"}`, 400},
		{"POST", "/switches", `{"vendor":"one","name":"mood","value":"angry"}`, 400},
		{"POST", "/switches", `{"vendor":"one","name":"none","value":"x"}`, 400},
		{"POST", "/switches", `{"vendor":"none","name":"mood","value":"kind"}`, 404},
		{"POST", "/actions", `{"vendor":"one","action":"none"}`, 400},
		{"POST", "/actions", `{"vendor":"one","action":"echo"}`, 400},
		{"POST", "/actions", `{"vendor":"one","action":"echo","arguments":{"wrod":"hi"}}`, 400},
		{"POST", "/actions", `{"vendor":"none","action":"echo"}`, 404},
	} {
		status, answer := control(t, srv, c.method, c.path, c.body)
		require.Equal(t, c.status, status, "%s %s %s", c.method, c.path, c.body)
		require.NotEmpty(t, answer["error"])
	}
}

func TestWriteState_Files_ArePrivateCompleteAndRemovable(t *testing.T) {
	srv := start(t, emulator.Config{}, sample("one"))
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	remove, err := srv.WriteState(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var state emulator.State
	require.NoError(t, json.Unmarshal(content, &state))
	ca, err := os.ReadFile(state.CACertFile)
	require.NoError(t, err)
	require.Equal(t, srv.CACertPEM(), ca)
	require.Equal(t, filepath.Join(dir, "state-ca.pem"), state.CACertFile)
	state.CACertFile = ""
	require.Equal(t, srv.State(), state)

	require.NoError(t, remove())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "neither the files nor temporary ones stay")
}

func TestWriteState_Failure_LeavesNoFiles(t *testing.T) {
	srv := start(t, emulator.Config{}, sample("one"))
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	require.NoError(t, os.Mkdir(path, 0o700)) // cannot be replaced by a file
	_, err := srv.WriteState(path)
	require.ErrorContains(t, err, path)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	_, err = srv.WriteState(filepath.Join(dir, "none", "state.json"))
	require.Error(t, err)
}
