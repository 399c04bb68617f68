package httpclient_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

func TestDo_BodyOfTheLargestSize_IsAccepted(t *testing.T) {
	for size, accepted := range map[int]bool{httpclient.MaxBody: true, httpclient.MaxBody + 1: false} {
		address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), size)) })
		response, err := newClient(t, httpclient.Options{Address: address}).Do(t.Context(), create())
		if accepted {
			require.NoError(t, err)
			assert.Len(t, response.Body, size)
		} else {
			require.Error(t, err)
		}
	}
}

func TestParseAddress_Ports_EndAt65535(t *testing.T) {
	for port, valid := range map[string]bool{"0": false, "1": true, "65535": true, "65536": false} {
		_, err := httpclient.ParseAddress("ftd.example:" + port)
		assert.Equal(t, valid, err == nil, "%s: %v", port, err)
	}
}

// A caller that gives up early says nothing about the host, and a host that refuses the connection fails every operation.
func TestDo_NoAnswer_BlamesTheHostOnlyIfItFailed(t *testing.T) {
	address := closedPort(t)
	_, err := newClient(t, httpclient.Options{Address: address}).Do(t.Context(), create())
	var failure *provider.Error
	require.ErrorAs(t, err, &failure)
	assert.NotEmpty(t, failure.Host)

	given, giveUp := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	address, _ = serve(t, func(http.ResponseWriter, *http.Request) {
		giveUp()
		<-stopped
	})
	_, err = newClient(t, httpclient.Options{Address: address}).Do(given, create())
	close(stopped)
	require.ErrorAs(t, err, &failure)
	assert.Empty(t, failure.Host)
}
