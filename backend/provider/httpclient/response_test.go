package httpclient_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

func TestResponse_StatusError_HasClassOfStatus(t *testing.T) {
	for _, test := range []struct {
		status       int
		create, read provider.Class
	}{
		{300, provider.ClassInvalid, provider.ClassInvalid},
		{302, provider.ClassInvalid, provider.ClassInvalid},
		{400, provider.ClassInvalid, provider.ClassInvalid},
		{401, provider.ClassUnauthenticated, provider.ClassUnauthenticated},
		{403, provider.ClassForbidden, provider.ClassForbidden},
		{404, provider.ClassNotFound, provider.ClassNotFound},
		{405, provider.ClassInvalid, provider.ClassInvalid},
		{407, provider.ClassUnavailable, provider.ClassUnavailable},
		{408, provider.ClassAmbiguous, provider.ClassUnavailable},
		{409, provider.ClassInvalid, provider.ClassInvalid},
		{410, provider.ClassNotFound, provider.ClassNotFound},
		{422, provider.ClassInvalid, provider.ClassInvalid},
		{423, provider.ClassUnavailable, provider.ClassUnavailable},
		{425, provider.ClassUnavailable, provider.ClassUnavailable},
		{429, provider.ClassRateLimited, provider.ClassRateLimited},
		{500, provider.ClassAmbiguous, provider.ClassUnavailable},
		{501, provider.ClassUnavailable, provider.ClassUnavailable},
		{502, provider.ClassAmbiguous, provider.ClassUnavailable},
		{503, provider.ClassAmbiguous, provider.ClassUnavailable},
		{504, provider.ClassAmbiguous, provider.ClassUnavailable},
		{520, provider.ClassAmbiguous, provider.ClassUnavailable},
		{599, provider.ClassAmbiguous, provider.ClassUnavailable},
	} {
		t.Run(strconv.Itoa(test.status), func(t *testing.T) {
			address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(test.status)
			})
			client := newClient(t, httpclient.Options{Address: address})
			for request, want := range map[*httpclient.Request]provider.Class{
				new(create()): test.create, new(read()): test.read,
			} {
				response, err := client.Do(t.Context(), *request)
				require.NoError(t, err)
				failure := response.StatusError("because")
				assert.Equal(t, want, failure.Class, request.Op)
				assert.Equal(t, request.Op, failure.Op)
				assert.Equal(t, test.status, httpclient.StatusOf(failure))
				assert.Equal(t, 7*time.Second, failure.RetryAfter)
				assert.Contains(t, failure.Message, strconv.Itoa(test.status))
				assert.Equal(t, test.status < 400, strings.Contains(failure.Message, "redirects are not followed"))
				assert.False(t, response.OK())
			}
		})
	}
}

func TestResponse_ProductError_ProvesThatNothingWasServed(t *testing.T) {
	for status, want := range map[int]provider.Class{
		400: provider.ClassInvalid, 408: provider.ClassUnavailable, 429: provider.ClassRateLimited, 500: provider.ClassAmbiguous,
		502: provider.ClassAmbiguous, 503: provider.ClassUnavailable, 504: provider.ClassAmbiguous,
	} {
		address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
		})
		response, err := newClient(t, httpclient.Options{Address: address}).Do(t.Context(), create())
		require.NoError(t, err)
		failure := response.ProductError("because")
		assert.Equal(t, want, failure.Class, "%d", status)
		assert.Equal(t, response.StatusError("because").Message, failure.Message)
		assert.Equal(t, status, httpclient.StatusOf(failure))
		assert.Equal(t, 7*time.Second, failure.RetryAfter)
	}
}

func TestResponse_HasMembers_ComparesTheWholeObject(t *testing.T) {
	for body, want := range map[string]bool{
		`{"error":"E","message":"m"}`:                  true,
		` {"message":{"a":1},"error":503} `:            true,
		`{"error":"E","message":"m","request_id":"r"}`: false, // a gateway's
		`{"message":"m"}`:                              false,
		`{"message":"m","other":"m"}`:                  false,
		`{"error":"E","message":""}`:                   false,
		`{"error":null,"message":"m"}`:                 false,
		`{"error":{},"message":"m"}`:                   false,
		`{"error":"E","message":"m"} {}`:               false,
		`["error","message"]`:                          false,
		`<html>`:                                       false,
		``:                                             false,
		`upstream connect error or disconnect/reset before headers`: false,
	} {
		response := &httpclient.Response{Body: []byte(body)}
		assert.Equal(t, want, response.HasMembers("error", "message"), "%s", body)
	}
}

func TestResponse_StatusError_IsRedacted(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("user admin with hunter2 is unknown"))
	})
	client := newClient(t, httpclient.Options{Address: address})
	request := create()
	request.Secrets = []string{"hunter2"}
	response, err := client.Do(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, "test: create: the vendor answered 400 Bad Request: user admin with [redacted] is unknown",
		response.StatusError("").Error())
	assert.Equal(t, "test: create: the vendor answered 400 Bad Request: no [redacted]!",
		response.StatusError("no hunter2!").Error())
}

func TestResponse_RetryAfter_IsParsedAndLimited(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		value, date string
		want        time.Duration
	}{
		"none":                       {},
		"seconds":                    {value: "120", want: 2 * time.Minute},
		"negative":                   {value: "-5"},
		"nonsense":                   {value: "soon"},
		"bounded":                    {value: "999999999999", want: 24 * time.Hour},
		"overflowing":                {value: "99999999999999999999"},
		"date by the server's clock": {value: now.Add(time.Minute).Format(http.TimeFormat), date: now.Format(http.TimeFormat), want: time.Minute},
		"date that has passed":       {value: now.Add(-time.Minute).Format(http.TimeFormat), date: now.Format(http.TimeFormat)},
		"date far in the future":     {value: now.AddDate(9, 0, 0).Format(http.TimeFormat), date: now.Format(http.TimeFormat), want: 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Retry-After"] = []string{test.value}
				if test.date != "" {
					w.Header().Set("Date", test.date)
				}
				w.WriteHeader(http.StatusTooManyRequests)
			})
			client := newClient(t, httpclient.Options{Address: address})
			response, err := client.Do(t.Context(), create())
			require.NoError(t, err)
			assert.Equal(t, test.want, response.RetryAfter())
		})
	}
}

func TestResponse_Decode_AcceptsOneJSONValueOnly(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		ok   bool
	}{
		"object":         {body: `{"token":"t","more":1}`, ok: true},
		"trailing space": {body: "{}\n ", ok: true},
		"empty":          {body: ""},
		"cut off":        {body: `{"token":"hunter2`},
		"two values":     {body: `{} {}`},
		"trailing text":  {body: `{"token":"t"}hunter2`},
		"wrong type":     {body: `{"token":["hunter2"]}`},
		"array":          {body: `["hunter2"]`},
		"HTML":           {body: "<html>hunter2"},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(test.body)) })
			client := newClient(t, httpclient.Options{Address: address})
			for request, want := range map[*httpclient.Request]provider.Class{
				new(create()): provider.ClassAmbiguous, new(read()): provider.ClassUnavailable,
			} {
				response, err := client.Do(t.Context(), *request)
				require.NoError(t, err)
				var target struct {
					Token string `json:"token"`
				}
				err = response.Decode(&target)
				if test.ok {
					require.NoError(t, err)
					continue
				}
				failure, ok := errors.AsType[*provider.Error](err)
				require.True(t, ok)
				assert.Equal(t, want, failure.Class)
				assert.NotContains(t, failure.Error(), "hunter2", "the error does not quote the body, which may hold a token")
			}
		})
	}
}

func TestResponse_OK_IsASuccessfulStatus(t *testing.T) {
	for status, want := range map[int]bool{199: false, 200: true, 299: true, 300: false} {
		assert.Equal(t, want, (&httpclient.Response{Status: status}).OK(), "%d", status)
	}
}

func TestResponse_Decode_SaysWhatCameInstead(t *testing.T) {
	for body, want := range map[string]string{
		"": "an empty body", " \n": "an empty body", "<html><body>no": "an HTML page", "no": "something that is not the expected JSON",
	} {
		var target map[string]any
		assert.ErrorContains(t, (&httpclient.Response{Status: 200, Body: []byte(body)}).Decode(&target), want)
	}
}
