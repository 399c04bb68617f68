package faults

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// page is the answer of a web server that is not the vendor's API.
const page = "<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"

// envoyText is the body of a proxy's 503 when the connection to the vendor breaks after the request.
const envoyText = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"

// unexpectedAnswers are answers that a request may get instead of the vendor's documented ones.
func unexpectedAnswers() map[string]devserver.Fault {
	return map[string]devserver.Fault{
		"401":                          {Status: 401},
		"403":                          {Status: 403},
		"404":                          {Status: 404},
		"404, an HTML page":            {Status: 404, Body: page, Headers: map[string]string{"Content-Type": "text/html"}},
		"423":                          {Status: 423},
		"429":                          {Status: 429},
		"429 with Retry-After":         {Status: 429, Headers: map[string]string{"Retry-After": "2"}},
		"500":                          {Status: 500},
		"503":                          {Status: 503},
		"503 with Retry-After":         {Status: 503, Headers: map[string]string{"Retry-After": "2"}},
		"302":                          {Status: 302, Body: page, Headers: map[string]string{"Location": "/login"}},
		"200, an HTML page":            {Body: page, Headers: map[string]string{"Content-Type": "text/html"}},
		"200, an empty object":         {Body: "{}"},
		"truncated":                    {Truncate: true},
		"never completed":              {Stall: true},
		"100 MB":                       {BodyBytes: 100 << 20},
		"wrong content type":           {Headers: map[string]string{"Content-Type": "text/html"}},
		"slow":                         {Delay: 300 * time.Millisecond},
		"one byte at a time":           {Drip: 100 * time.Millisecond},
		"slower than the timeout":      {Delay: 1500 * time.Millisecond},
		"a proxy's 502, after serving": {Status: 502, Body: page, ActBefore: true},
		"a proxy's 503, after serving": {Status: 503, Body: envoyText, ActBefore: true},
		"a proxy's 504, after serving": {Status: 504, Body: page, ActBefore: true},
		"none in time, served later":   {Delay: 1500 * time.Millisecond, FinishAfterHangup: true},
		"none, request not served":     {DropBefore: true},
		"none, although it is served":  {DropAfter: true},
	}
}

// faultyRequest is a request of a vendor, and the operation that sends it.
type faultyRequest struct {
	name, route string
	op          operation
}

// requests returns the target's requests that get unexpected answers.
func (v target) requests() []faultyRequest {
	requests := []faultyRequest{{"issue", v.Operations.Issue, readExclusive}}
	if v.Renewable() {
		requests = append(requests, faultyRequest{"renew", v.Operations.Renew, renew})
	}
	if v.revocable() {
		requests = append(requests, faultyRequest{"revoke", v.revokeOperation(), revokeExclusive})
	}
	if v.RotatesRoot() {
		requests = append(requests, faultyRequest{"rotate", v.Operations.RotateRoot, rotateRoot})
	}
	return requests
}

func TestVendor_UnexpectedAnswer_LosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	cl := newCluster(t, 1, 10*time.Second)
	all := unexpectedAnswers()
	for _, answer := range slices.Sorted(maps.Keys(all)) {
		for _, v := range targets() {
			for _, request := range v.requests() {
				sc := cl.begin(t, "answer of the vendor: "+answer, "to "+request.name, v)
				request.op.prepare(t, sc)
				fault := all[answer]
				fault.Vendor, fault.Route = v.Name, request.route
				require.NoError(t, cl.server.Control().AddFault(t.Context(), fault))
				request.op.act(t.Context(), sc)
				require.NoError(t, cl.server.Control().ClearFaults(t.Context(), v.Name))
				request.op.conclude(t, sc)
			}
		}
		progress("answer of the vendor: %s", answer)
	}
	cl.drain(t)
}
