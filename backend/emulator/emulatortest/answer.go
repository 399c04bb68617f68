package emulatortest

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Answer is the answer of a vendor's server.
type Answer struct {
	Status int
	Header http.Header
	// Text is the whole body.
	Text string
	// Body is the decoded body, nil if the body is not a JSON object.
	Body map[string]any

	t testing.TB
}

// Send sends a request to a URL and returns the answer with any status. A nil body means none, a string is sent
// as it is, and any other body is sent as JSON. header contains names and values in alternation. Send adds no
// other headers.
func (s *Server) Send(method, url string, body any, header ...string) Answer {
	s.T.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		content, err := json.Marshal(body)
		require.NoError(s.T, err)
		text = string(content)
	}
	request, err := http.NewRequestWithContext(s.T.Context(), method, url, strings.NewReader(text))
	require.NoError(s.T, err)
	for name, value := range pairs(header) {
		request.Header.Set(name, value)
	}
	response, err := s.Client.Do(request)
	require.NoError(s.T, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(s.T, err)
	answer := Answer{Status: response.StatusCode, Header: response.Header, Text: string(content), t: s.T}
	_ = json.Unmarshal(content, &answer.Body) // not every body is JSON
	return answer
}

// Member returns a string member of the body. It fails the test if there is none.
func (a Answer) Member(name string) string {
	a.t.Helper()
	text, ok := a.Body[name].(string)
	require.True(a.t, ok, "no text %q in %d %s", name, a.Status, a.Text)
	return text
}

// JWTClaims returns the payload of a JWT. It does not check the signature.
func JWTClaims(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims map[string]any
	require.NoError(t, json.Unmarshal(payload, &claims))
	return claims
}

// StatusOf returns a probe for [SwitchCases]: it returns the status of the answer to a request.
func StatusOf[T any](request func(on T) Answer) func(on T) string {
	return func(on T) string { return strconv.Itoa(request(on).Status) }
}
