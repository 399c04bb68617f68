package httpclient_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// described sends a request that is answered with body, and returns the description of the answer.
func described(t *testing.T, contentType, body string, secrets ...string) provider.Answer {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	client, err := httpclient.New(httpclient.Options{Address: server.URL, AllowAddresses: providertest.Loopback()})
	require.NoError(t, err)
	defer client.Close()
	log := &provider.AnswerLog{}
	_, err = client.Do(provider.WithAnswerLog(t.Context(), log), httpclient.Request{Op: "acme: read", Secrets: secrets})
	require.NoError(t, err)
	require.Len(t, log.Answers(), 1)
	return log.Answers()[0]
}

func TestDescribe_JSON_ShowsKindsAndNoContent(t *testing.T) {
	jwt := "eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"hunter2","exp":1,"10.0.0.1":2}`)) + ".hunter2"
	answer := described(t, "application/json; charset=utf-8", `{
		"access_token": "`+jwt+`", "expires_in": 900, "id": 4711, "token_type": "Bearer", "name": "hunter2", "at": "2026-01-02T03:04:05Z",
		"none": null, "empty": "", "yes": true, "items": [{"host": "hunter2", "code": -11}, {}], "list": [], "10.0.0.1": "hunter2", "hunter2": 1
	}`, "hunter2")
	require.Equal(t, map[string]string{
		"Retry-After": "present", "access_token": "jwt(exp,sub)", "expires_in": "900", "id": "number", "token_type": "Bearer", "name": "string",
		"at": "time", "none": "null", "empty": "empty", "yes": "true", "items.0.host": "string", "items.0.code": "-11", "list": "list",
		"other": "number",
	}, answer.Members)
	require.Equal(t, "application/json", answer.MediaType)
	require.Equal(t, http.StatusTeapot, answer.Status)
	require.NotContains(t, answer.String(), "hunter2")
	require.NotContains(t, answer.String(), "4711")
}

func TestDescribe_OtherBodies_ShowNoContent(t *testing.T) {
	for body, want := range map[string]string{
		"hunter2": "text", `"hunter2"`: "string", "<html>hunter2</html>": "text", "4711": "number", "null": "null", "[]": "list", "{}": "object",
	} {
		answer := described(t, "text/plain", body)
		require.Equal(t, want, answer.Members["body"], body)
		require.NotContains(t, answer.String(), "hunter2")
		require.NotContains(t, answer.String(), "4711")
	}
}

func TestDescribe_DeepOrWideBody_IsBounded(t *testing.T) {
	deep, wide := "1", "{"
	for range 100 {
		deep = `{"a":` + deep + `}`
	}
	require.Equal(t, "object", described(t, "application/json", deep).Members["a.a.a.a.a"])
	for i := range 500 {
		wide += `"a` + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `":1,`
	}
	require.LessOrEqual(t, len(described(t, "application/json", wide+`"z":1}`).Members), 60)
}

// The report of a probe is made to be passed on. What the server chooses as the name of a member, as a number, a type or a
// media type can be data too.
func TestDescribe_DataInOtherPlaces_IsNotShown(t *testing.T) {
	const secret = "correcthorsebattery"
	token := "ZmFrZVNlc3Npb25Ub2tlbjEyMzQ1"
	jwt := "eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1,"correcthorsebattery":1,"`+token+`":2}`)) + ".c2ln"
	answer := described(t, "application/x-correcthorsebattery", `{
		"x_correcthorsebattery": 1, "Correct_HorseBattery": {"a": 1}, "`+token+`": {"user": "eve"}, "fw2026edge01": 1, "jwt": "`+jwt+`",
		"token_type": "correcthorse", "code": 4711471147114711, "count": 1e99, "limit": `+strings.Repeat("9", 5000)+`, "expires_in": 86400
	}`, secret, "4711471147114711")
	require.Equal(t, map[string]string{
		"Retry-After": "present", "other": "number", "other.a": "number", "other.user": "string", "jwt": "jwt(exp)", "token_type": "string",
		"code": "number", "count": "1e99", "limit": "number", "expires_in": "86400",
	}, answer.Members)
	require.Equal(t, "other", answer.MediaType)
}

func TestDescribe_ManyDataNames_AreBounded(t *testing.T) {
	var body strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&body, `,"host%d":{"a":1}`, i+10_000)
	}
	answer := described(t, "application/json", "{"+body.String()[1:]+"}", "correct-horse-battery")
	require.Equal(t, map[string]string{"Retry-After": "present", "other.a": "number"}, answer.Members)
}

func TestDescribe_LongNumber_IsNotShown(t *testing.T) {
	for number, shown := range map[string]string{"123456789012": "123456789012", "1234567890123": "number"} {
		require.Equal(t, shown, described(t, "application/json", `{"code":`+number+`}`).Members["code"])
	}
}

// The body itself is the first of the 300 values that are looked at.
func TestDescribe_ManyValues_LastThatIsLookedAtIsShown(t *testing.T) {
	for before, shown := range map[int]bool{298: true, 299: false} {
		var body strings.Builder
		for i := range before {
			fmt.Fprintf(&body, `"host%d":1,`, i+10_000)
		}
		members := described(t, "application/json", "{"+body.String()+`"z":1}`).Members
		require.Equal(t, shown, members["z"] != "", "%d before it", before)
	}
}

func TestDescribe_EmptyBody_HasNoMediaType(t *testing.T) {
	answer := described(t, "text/html", "")
	require.Empty(t, answer.MediaType)
	require.Equal(t, map[string]string{"Retry-After": "present"}, answer.Members)
	require.Equal(t, "text/html", described(t, "text/html", "x").MediaType)
}

func TestDescribe_NestedLists_AreBounded(t *testing.T) {
	require.Equal(t, map[string]string{"Retry-After": "present", "0.0.0.0.0": "list"}, described(t, "application/json", "[[[[[[[1]]]]]]]").Members)
}
