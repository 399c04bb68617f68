package emulator_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// faulty serves the sample vendor "one" with one fault.
func faulty(t *testing.T, fault emulator.Fault) (*emulator.Server, *http.Client) {
	t.Helper()
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	fault.Vendor = "one"
	if fault.Route == "" {
		fault.Route = emulator.AnyRoute
	}
	require.NoError(t, srv.AddFault(fault))
	return srv, newClient(t, srv)
}

// text returns a pointer to s.
func text(s string) *string { return &s }

func TestFault_Route_MatchesMethodPathAndOperation(t *testing.T) {
	for route, hit := range map[string]bool{
		"*":                    true,
		"POST /api/things/12":  true,
		"/api/things/12":       true,
		"POST *":               true,
		"/api/*/12":            true,
		"* /api/things/*":      true,
		"intent":               true,
		"int*":                 true,
		"GET /api/things/12":   false,
		"/api/things":          false,
		"/api/things/12/extra": false,
		"other":                false,
		"*nt*nt*nt":            false,
	} {
		t.Run(route, func(t *testing.T) {
			srv, client := faulty(t, emulator.Fault{Route: route, Status: http.StatusBadGateway})
			status, _, _ := call(t, client, http.MethodPost, srv.URL("one")+"/things/12", "intent")
			require.Equal(t, hit, status == http.StatusBadGateway)
		})
	}
}

func TestFault_SkipAndTimes_CountMatchingRequests(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{Route: "POST *", Status: 503, Skip: 1, Times: 2})
	var statuses []int
	for range 5 {
		call(t, client, http.MethodGet, srv.URL("one"), "") // does not match, so it does not count
		status, _, _ := call(t, client, http.MethodPost, srv.URL("one"), "")
		statuses = append(statuses, status)
	}
	require.Equal(t, []int{200, 503, 503, 200, 200}, statuses)
	require.Empty(t, srv.Faults("one"))
}

func TestFault_WithoutTimes_AppliesUntilCleared(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{Status: 503})
	for range 3 {
		status, _, _ := call(t, client, http.MethodPost, srv.URL("one"), "")
		require.Equal(t, 503, status)
	}
	srv.ClearFaults("one")
	status, _, _ := call(t, client, http.MethodPost, srv.URL("one"), "")
	require.Equal(t, 200, status)
	require.Len(t, srv.Credentials("one"), 1, "clearing the faults keeps the history")
}

func TestFault_ActBefore_AnswersInPlaceOfTheVendor(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{Status: 503, ActBefore: true, Times: 1, Body: text("upstream connect error")})
	status, header, body := call(t, client, http.MethodPost, srv.URL("one"), "")
	require.Equal(t, 503, status)
	require.Equal(t, "text/plain; charset=utf-8", header.Get("Content-Type"))
	require.Equal(t, "upstream connect error", body)
	require.Len(t, srv.Credentials("one"), 1, "the vendor has acted")
}

func TestFault_DropBefore_VendorDoesNotAct(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{DropBefore: true, Times: 1})
	_, _, _, err := try(t, client, http.MethodPost, srv.URL("one"), "")
	require.Error(t, err)
	require.Empty(t, srv.Credentials("one"))
	require.Equal(t, 0, srv.Requests("one")[0].Status)
}

func TestFault_DropAfter_VendorActsAndAnswerIsLost(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{DropAfter: true, Times: 1})
	_, _, _, err := try(t, client, http.MethodPost, srv.URL("one"), "")
	require.Error(t, err)
	require.Len(t, srv.Credentials("one"), 1)
	require.Equal(t, 200, srv.Requests("one")[0].Status)
}

func TestFault_StatusOnly_HasTheVendorsErrorBody(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{Status: 500, Header: map[string]string{"Retry-After": "7"}})
	status, header, body := call(t, client, http.MethodPost, srv.URL("one"), "")
	require.Equal(t, 500, status)
	require.Equal(t, "7", header.Get("Retry-After"))
	require.JSONEq(t, `{"sample":"error"}`, body)
	require.NotEmpty(t, header.Get("Date"))
	require.Empty(t, srv.Credentials("one"))

	_, _, body = call(t, client, http.MethodPost, srv.AuthURL("one"), "")
	require.Empty(t, body, "an endpoint without ErrorBody")
}

func TestFault_Body_IsSentUnchanged(t *testing.T) {
	for body, contentType := range map[string]string{
		`{"a":1}`:       "application/json",
		"<html></html>": "text/plain; charset=utf-8",
	} {
		srv, client := faulty(t, emulator.Fault{Body: text(body)})
		status, header, got := call(t, client, http.MethodPost, srv.URL("one"), "")
		require.Equal(t, 200, status)
		require.Equal(t, body, got)
		require.Equal(t, contentType, header.Get("Content-Type"))
	}
	srv, client := faulty(t, emulator.Fault{Body: text("<p>"), Header: map[string]string{"content-type": "text/html"}})
	_, header, _ := call(t, client, http.MethodPost, srv.URL("one"), "")
	require.Equal(t, []string{"text/html"}, header["Content-Type"])
}

func TestFault_BodyBytes_PadsJSONWithoutContentLength(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{BodyBytes: 200_000})
	_, header, body := call(t, client, http.MethodPost, srv.URL("one"), "")
	require.Len(t, body, 200_000)
	require.JSONEq(t, `{"answer":"0123456789"}`, body)
	require.Empty(t, header.Get("Content-Length"))
}

func TestFault_Truncate_EndsInTheMiddleOfTheBody(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{Truncate: true})
	status, _, body, err := try(t, client, http.MethodPost, srv.URL("one"), "")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, 200, status)
	require.NotEmpty(t, body)
	require.Len(t, srv.Credentials("one"), 1)
}

func TestFault_Stall_EndsWithTheServer(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{Stall: true})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL("one"), nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	reader := bufio.NewReader(resp.Body)
	_, err = reader.Peek(1)
	require.NoError(t, err, "the first half arrives")
	require.NoError(t, srv.Close())
	_, err = io.ReadAll(reader)
	require.Error(t, err)
}

func TestFault_Delay_VendorActsAfterwards(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{Delay: 20 * time.Millisecond})
	began := time.Now()
	status, _, _ := call(t, client, http.MethodPost, srv.URL("one"), "")
	require.Equal(t, 200, status)
	require.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond)
}

func TestFault_Drip_SendsTheWholeAnswerByteByByte(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{Drip: time.Millisecond})
	began := time.Now()
	_, _, body := call(t, client, http.MethodPost, srv.URL("one"), "")
	require.JSONEq(t, `{"answer":"0123456789"}`, body)
	require.GreaterOrEqual(t, time.Since(began), time.Duration(len(body))*time.Millisecond)
}

func TestFault_Drip_ClientHangsUp_Ends(t *testing.T) {
	srv, client := faulty(t, emulator.Fault{Drip: time.Hour})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL("one"), nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, srv.Close(), "no request waits for the rest of the answer")
}

func TestAddFault_InvalidOrWithoutEffect_IsRefused(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	for name, fault := range map[string]emulator.Fault{
		"no route":              {Status: 500},
		"no effect":             {Route: "*"},
		"no such status":        {Route: "*", Status: 99},
		"negative times":        {Route: "*", Status: 500, Times: -1},
		"dropped and answered":  {Route: "*", DropBefore: true, Status: 500},
		"finished and dropped":  {Route: "*", FinishAfterHangup: true, Delay: 1, DropBefore: true},
		"finished and replaced": {Route: "*", FinishAfterHangup: true, Delay: 1, Status: 500},
		"finished with a body":  {Route: "*", FinishAfterHangup: true, Delay: 1, Body: text("")},
		"finished undelayed":    {Route: "*", FinishAfterHangup: true},
		"acts without answer":   {Route: "*", ActBefore: true, DropAfter: true},
		"acts and dropped":      {Route: "*", ActBefore: true, Status: 503, DropBefore: true},
		"cut and held":          {Route: "*", Truncate: true, Stall: true},
		"cut and dripping":      {Route: "*", Truncate: true, Drip: time.Second},
		"negative drip":         {Route: "*", Drip: -time.Second},
		"cut and padded":        {Route: "*", Truncate: true, BodyBytes: 5},
		"header with a newline": {Route: "*", Header: map[string]string{"A": "b\r\nC: d"}},
	} {
		fault.Vendor = "one"
		require.Error(t, srv.AddFault(fault), name)
	}
	require.Empty(t, srv.Faults("one"))
	require.True(t, strings.HasPrefix(srv.URL("one"), "http://"))
}
