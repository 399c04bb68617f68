package fortisiem_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// revoke_body can hold a credential of the service, which may quote it in its answer: alone, next to a placeholder, or as
// a number.
func TestRevoke_ServiceQuotesTheBody_IsRedacted(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(append([]byte("the service refuses the {{token}}: "), body...))
	}))
	t.Cleanup(service.Close)
	for _, template := range []string{
		"key=hook-hunter2-key", "auth=hook-hunter2-key:{{token}}", "auth={{client_id}} {{token}}:hook-hunter2-key", `{"auth":["hook-hunter2-key {{token}}"]}`,
		`{"pin":4711471147}`,
	} {
		a := newAppliance(t)
		connection := a.open(map[string]any{"revoke_url": service.URL, "revoke_body": template})
		failure := refusal(t, revoke(t, connection, a.issue(connection)))
		require.Contains(t, failure.Error(), "the service refuses the {{token}}", "a placeholder is no credential: %s", template)
		require.NotContains(t, failure.Error(), "hunter2", template)
		require.NotContains(t, failure.Error(), "4711471147", template)
	}
}
