package faults

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const page = "<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"

// answers are what a vendor may answer, or not, to a request.
func answers() map[string]devserver.Fault {
	return map[string]devserver.Fault{
		"401":                      {Status: 401},
		"403":                      {Status: 403},
		"404":                      {Status: 404},
		"404, an HTML page":        {Status: 404, Body: page, Headers: map[string]string{"Content-Type": "text/html"}},
		"423":                      {Status: 423},
		"429":                      {Status: 429},
		"429 with Retry-After":     {Status: 429, Headers: map[string]string{"Retry-After": "2"}},
		"500":                      {Status: 500},
		"503":                      {Status: 503},
		"503 with Retry-After":     {Status: 503, Headers: map[string]string{"Retry-After": "2"}},
		"302":                      {Status: 302, Body: page, Headers: map[string]string{"Location": "/login"}},
		"200, an HTML page":        {Body: page, Headers: map[string]string{"Content-Type": "text/html"}},
		"200, an empty object":     {Body: "{}"},
		"cut off":                  {Truncate: true},
		"endless":                  {Stall: true},
		"100 MB":                   {BodyBytes: 100 << 20},
		"wrong content type":       {Headers: map[string]string{"Content-Type": "text/html"}},
		"slow":                     {Delay: 300 * time.Millisecond},
		"slow drip":                {Drip: 100 * time.Millisecond},
		"slower than the timeout":  {Delay: 1500 * time.Millisecond},
		"connection lost, unheard": {DropBefore: true},
		"connection lost, served":  {DropAfter: true},
	}
}

// requests are the requests of a vendor that the answers are given to.
func (v vendor) requests() map[string]struct {
	route string
	op    operation
} {
	type request = struct {
		route string
		op    operation
	}
	requests := map[string]request{"issue": {v.issue, readExclusive}}
	if v.renewable {
		requests["renew"] = request{v.renew, renew}
	}
	if v.revoking {
		requests["revoke"] = request{v.revoke, revokeExclusive}
	}
	if v.rotates {
		requests["rotate"] = request{v.rotate, rotateRoot}
	}
	return requests
}

func TestVendorAnswersStrangely(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	s := newStand(t, 1, 10*time.Second)
	all := answers()
	for _, answer := range slices.Sorted(maps.Keys(all)) {
		for _, v := range vendors() {
			for request, of := range v.requests() {
				o := s.begin(t, "vendor answers: "+answer, "on "+request, v)
				of.op.prepare(t, o)
				hit := all[answer]
				hit.Vendor, hit.Route = v.emulated, of.route
				require.NoError(t, s.server.Control().AddFault(t.Context(), hit))
				of.op.act(t.Context(), o)
				require.NoError(t, s.server.Control().ClearFaults(t.Context(), v.emulated))
				of.op.conclude(t, o)
			}
		}
		progress("vendor answers: %s", answer)
	}
	s.drain(t)
}
