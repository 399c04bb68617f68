package providertest

import (
	"net/http"
	"strconv"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// proxyBodies are the bodies with which proxies and gateways answer when they lose the connection to the vendor. None of
// them has a vendor's own form.
var proxyBodies = map[string]string{
	"Envoy":   "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
	"nginx":   "<html><head><title>Error</title></head><body><center><h1>Error</h1></center><hr>nginx</body></html>",
	"gateway": `{"message":"The upstream server is timing out","request_id":"5a8d0b1e"}`,
	"OAuth":   `{"error":"temporarily_unavailable"}`,
	"empty":   "",
}

// proxyAnswers returns the answers of a proxy in front of the vendor, by name. The vendor has served the request.
func proxyAnswers() map[string]emulator.Fault {
	faults := map[string]emulator.Fault{}
	for _, status := range []int{
		http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout,
	} {
		for name, body := range proxyBodies {
			faults[name+" "+strconv.Itoa(status)] = emulator.Fault{
				Status: status, Body: new(body), ActBefore: true, Header: map[string]string{"Retry-After": "1"},
			}
		}
	}
	return faults
}
