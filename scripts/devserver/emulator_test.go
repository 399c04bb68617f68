package devserver

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// issueToken requests a Lacework token with a life of ten minutes, and returns the status of the answer.
func issueToken(t *testing.T, vendor VendorState) int {
	t.Helper()
	body := `{"keyId": "` + vendor.Credentials["key_id"] + `", "expiryTime": 600}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, vendor.URL+"/api/v2/access/tokens", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-LW-UAKS", vendor.Credentials["secret_key"])
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// The control client shares no code with the emulator, so the test runs it against the real one.
func TestControl_RealEmulator_UnderstandsEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the vendor emulator; run without -short")
	}
	options, err := Options{VaultBinary: "/bin/sh", WithoutPlugin: true}.withDefaults()
	require.NoError(t, err)
	ctx := t.Context()
	p, state, err := startEmulator(ctx, options.EmulatorBinary, t.TempDir(), []string{"-plain-http"})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.stop()) })
	vendor, ok := state.Vendors["lacework"]
	require.True(t, ok)
	require.NotEmpty(t, vendor.Credentials["secret_key"])
	control := NewControl(state.ControlURL)

	require.NoError(t, control.AddFault(ctx, Fault{Vendor: "lacework", Route: "POST *", Times: 1, Status: http.StatusServiceUnavailable, Delay: time.Millisecond}))
	assert.Equal(t, http.StatusServiceUnavailable, issueToken(t, vendor))
	assert.Equal(t, http.StatusCreated, issueToken(t, vendor))

	credentials, err := control.Credentials(ctx, "lacework")
	require.NoError(t, err)
	require.Len(t, credentials, 1)
	assert.True(t, credentials[0].Live)
	require.NotNil(t, credentials[0].ExpiresAt)
	assert.Equal(t, 10*time.Minute, credentials[0].ExpiresAt.Sub(credentials[0].IssuedAt).Round(time.Second))

	require.NoError(t, control.Advance(ctx, 11*time.Minute))
	credentials, err = control.Credentials(ctx, "lacework")
	require.NoError(t, err)
	require.Len(t, credentials, 1)
	assert.Equal(t, "expired", credentials[0].EndedBy)

	requests, err := control.Requests(ctx, "lacework")
	require.NoError(t, err)
	require.Len(t, requests, 2)
	assert.Equal(t, []int{503, 201}, []int{requests[0].Status, requests[1].Status})

	require.NoError(t, control.SetSwitch(ctx, "lacework", "clock_skew", "5m"))
	switches, err := control.Switches(ctx)
	require.NoError(t, err)
	var skew string
	for _, s := range switches {
		if s.Vendor == "lacework" && s.Name == "clock_skew" {
			skew = s.Value
		}
	}
	assert.Equal(t, "5m", skew)
	require.Error(t, control.SetSwitch(ctx, "lacework", "no_such_switch", "x"))

	require.NoError(t, control.ClearFaults(ctx, "lacework"))
	require.NoError(t, control.Reset(ctx))
	credentials, err = control.Credentials(ctx, "lacework")
	require.NoError(t, err)
	assert.Empty(t, credentials)
}
