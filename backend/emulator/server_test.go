package emulator_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

func TestStart_TLS_EveryEndpointHasACertificateOfTheCA(t *testing.T) {
	srv := start(t, emulator.Config{}, sample("one"), sample("two"))
	client := newClient(t, srv)
	seen := map[string]bool{}
	for _, vendor := range srv.Vendors() {
		for _, url := range []string{srv.URL(vendor), srv.AuthURL(vendor)} {
			require.True(t, strings.HasPrefix(url, "https://127.0.0.1:"), url)
			require.False(t, seen[url], "two servers at %s", url)
			seen[url] = true
			for _, host := range []string{"127.0.0.1", "localhost"} {
				status, _, _ := call(t, client, http.MethodPost, strings.Replace(url, "127.0.0.1", host, 1), "")
				require.Equal(t, http.StatusOK, status)
			}
		}
	}
	require.True(t, strings.HasSuffix(srv.URL("one"), "/api"))
}

func TestStart_PlainHTTP_HasNoCA(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	require.Nil(t, srv.CACertPEM())
	status, _, _ := call(t, newClient(t, srv), http.MethodPost, srv.URL("one"), "")
	require.Equal(t, http.StatusOK, status)
}

func TestStart_InvalidConfigOrVendor_IsRefused(t *testing.T) {
	broken := func(change func(*emulator.Vendor)) emulator.Vendor {
		v := sample("broken")
		change(&v)
		return v
	}
	withEndpoints := func(names ...string) emulator.Vendor {
		return broken(func(v *emulator.Vendor) {
			v.New = func(*emulator.Env) emulator.Service {
				var service emulator.Service
				for _, name := range names {
					service.Endpoints = append(service.Endpoints, emulator.Endpoint{Name: name, Handler: http.NotFoundHandler()})
				}
				return service
			}
		})
	}
	for name, c := range map[string]struct {
		cfg     emulator.Config
		vendors []emulator.Vendor
		message string
	}{
		"all interfaces":      {emulator.Config{Listen: "0.0.0.0"}, nil, "not a loopback address"},
		"another interface":   {emulator.Config{Listen: "192.0.2.1"}, nil, "not a loopback address"},
		"a name":              {emulator.Config{Listen: "example.com"}, nil, "not a loopback address"},
		"negative latency":    {emulator.Config{Latency: -1}, nil, "negative"},
		"the same name twice": {emulator.Config{}, []emulator.Vendor{sample("a"), sample("a")}, "taken"},
		"no endpoint":         {emulator.Config{}, []emulator.Vendor{withEndpoints()}, "missing"},
		"an unknown endpoint": {emulator.Config{}, []emulator.Vendor{withEndpoints("other")}, "unknown"},
		"an endpoint twice": {
			emulator.Config{}, []emulator.Vendor{withEndpoints(emulator.EndpointURL, emulator.EndpointURL)}, "taken",
		},
		"a bad default": {emulator.Config{}, []emulator.Vendor{broken(func(v *emulator.Vendor) {
			v.Switches = []emulator.Switch{{Name: "x", Kind: emulator.KindInteger, Default: "many"}}
		})}, "whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := emulator.Start(c.cfg, c.vendors...)
			require.ErrorContains(t, err, c.message)
		})
	}
}

func TestSeed_OtherVendorsServed_RootCredentialsAreTheSame(t *testing.T) {
	alone := start(t, emulator.Config{Seed: 7}, sample("one")).State().Vendors["one"]
	among := start(t, emulator.Config{Seed: 7}, sample("two"), sample("one")).State().Vendors
	other := start(t, emulator.Config{Seed: 8}, sample("one")).State().Vendors["one"]
	assert.Equal(t, alone.Credentials, among["one"].Credentials)
	assert.Equal(t, alone.Login, among["one"].Login)
	assert.NotEqual(t, among["two"].Credentials, among["one"].Credentials)
	assert.NotEqual(t, alone.Credentials, other.Credentials)
}

func TestAdvance_PastExpiry_EndsCredentials(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	call(t, newClient(t, srv), http.MethodPost, srv.URL("one")+"?marker=m", "")
	issued := srv.Credentials("one")
	require.Len(t, issued, 1)
	require.True(t, issued[0].Live)
	require.Equal(t, "m", issued[0].Marker)
	require.Nil(t, issued[0].EndedAt)

	require.Error(t, srv.Advance(-time.Second), "the clock goes forward only")
	require.NoError(t, srv.Advance(sampleLife))
	issued = srv.Credentials("one")
	require.False(t, issued[0].Live)
	require.Equal(t, emulator.EndedExpired, issued[0].EndedBy)
	require.Equal(t, issued[0].ExpiresAt, issued[0].EndedAt)
}

func TestClockSkew_Set_ShiftsDateAndExpiryTogether(t *testing.T) {
	fixed := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	srv := start(t, emulator.Config{PlainHTTP: true, Now: func() time.Time { return fixed }}, sample("one"))
	require.NoError(t, srv.SetSwitch("one", emulator.SwitchClockSkew, "-10m"))
	_, header, _ := call(t, newClient(t, srv), http.MethodPost, srv.URL("one"), "")
	require.Equal(t, "Wed, 02 Jan 2030 02:54:05 GMT", header.Get("Date"))

	issued := srv.Credentials("one")[0]
	require.Equal(t, fixed, issued.IssuedAt, "the control API shows emulated time, without the skew")
	require.Equal(t, fixed.Add(sampleLife), *issued.ExpiresAt)
	require.True(t, issued.Live)
	require.Equal(t, fixed, srv.Now())
}

func TestReset_AfterChanges_KeepsRootsAndPorts(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	before := srv.State()
	call(t, newClient(t, srv), http.MethodPost, srv.URL("one"), "")
	require.NoError(t, srv.SetSwitch("one", "mood", "unkind"))
	require.NoError(t, srv.AddFault(emulator.Fault{Vendor: "one", Route: "*", Status: 500}))
	require.NoError(t, srv.Advance(time.Hour))

	srv.Reset()
	require.Empty(t, srv.Credentials("one"))
	require.Empty(t, srv.Requests("one"))
	require.Empty(t, srv.Faults("one"))
	require.WithinDuration(t, time.Now(), srv.Now(), time.Minute)
	for _, s := range srv.Switches("one") {
		require.Equal(t, s.Default, s.Value, s.Name)
	}
	require.Equal(t, before, srv.State())
	status, _, _ := call(t, newClient(t, srv), http.MethodPost, srv.URL("one"), "")
	require.Equal(t, http.StatusOK, status)
}

func TestSetSwitch_ValueOfAnotherKind_IsRefused(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	for _, c := range []struct{ name, good, bad string }{
		{"mood", "unkind", "angry"},
		{"size", "0", "-1"},
		{"patience", "2h", "long"},
		{emulator.SwitchClockSkew, "-1s", "1"},
	} {
		require.NoError(t, srv.SetSwitch("one", c.name, c.good), c.name)
		require.Error(t, srv.SetSwitch("one", c.name, c.bad), c.name)
	}
	require.Error(t, srv.SetSwitch("one", "no such", "1"))
	values := map[string]string{}
	for _, s := range srv.Switches("one") {
		values[s.Name] = s.Value
		require.NotEmpty(t, s.Description, s.Name)
	}
	require.Equal(t, map[string]string{"mood": "unkind", "size": "0", "patience": "2h", "clock_skew": "-1s"}, values)
}

func TestRequests_AfterARequest_ContainItsOperation(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	call(t, newClient(t, srv), http.MethodPut, srv.URL("one")+"/x?secret=1", "intent")
	logged := srv.Requests("one")
	require.Len(t, logged, 1)
	require.WithinDuration(t, srv.Now(), logged[0].At, time.Minute)
	logged[0].At = time.Time{}
	require.Equal(t, emulator.Request{Method: "PUT", Path: "/api/x", Status: 200, Operation: "intent"}, logged[0])
}

func TestLatency_ClientHangsUp_VendorDoesNotAct(t *testing.T) {
	arrived := make(chan struct{}, 1)
	srv := start(t, emulator.Config{PlainHTTP: true, Latency: time.Hour}, signalArrival(sample("one"), arrived))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-arrived
		cancel() // the client hangs up
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL("one"), nil)
	require.NoError(t, err)
	resp, err := newClient(t, srv).Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, srv.Credentials("one"), "the vendor must not act")
}

func TestRequestBody_Over8MiB_IsRefusedWith413(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	status, _, _ := call(t, newClient(t, srv), http.MethodPost, srv.URL("one"), strings.Repeat("x", 8<<20+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Empty(t, srv.Credentials("one"))
}

func TestServer_UnknownVendor_Panics(t *testing.T) {
	srv := start(t, emulator.Config{PlainHTTP: true}, sample("one"))
	require.Panics(t, func() { srv.URL("other") })
}
