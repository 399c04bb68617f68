package providertest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Fuzzing are the parameters of [Suite.Fuzz] in addition to the suite.
type Fuzzing struct {
	// Seeds are the first bodies of answers, valid and invalid ones. The fuzzer replaces a § in a body by a secret of
	// the root credential, because a server may echo a request.
	Seeds []string
	// Gone reports whether an answer to the operation confirms that a credential has ended, so that a revocation
	// may succeed. Nil means that no answer does.
	Gone func(operation string, status int, body string) bool
}

// steps are the operations on a connection that get fuzzed answers.
var steps = []func(f *fuzzed) error{
	func(f *fuzzed) error {
		result, err := f.connection.Check(f.ctx)
		if err == nil {
			f.checkError(errors.Join(errorTexts(result.Warnings)...))
		}
		return err
	},
	func(f *fuzzed) error {
		credential, err := f.connection.Issue(f.ctx, f.request())
		if err == nil {
			f.validCredential(credential)
		}
		return err
	},
	func(f *fuzzed) error {
		renewer, ok := f.connection.(provider.Renewer)
		if !ok {
			return nil
		}
		end, err := renewer.Renew(f.ctx, f.issued.Handle, lifetime)
		if err == nil {
			f.validExpiry(end)
		}
		return err
	},
	func(f *fuzzed) error {
		revoker, ok := f.connection.(provider.Revoker)
		if !ok || !f.provider.Capabilities().Revokes {
			return nil
		}
		err := revoker.Revoke(f.ctx, f.issued.Handle)
		f.checkNothingLeft(err)
		return err
	},
	func(f *fuzzed) error {
		revoker, ok := f.connection.(provider.MarkerRevoker)
		if !ok {
			return nil
		}
		_, err := revoker.RevokeMarker(f.ctx, f.marker)
		f.checkNothingLeft(err)
		return err
	},
	func(f *fuzzed) error {
		lister, ok := f.connection.(provider.Lister)
		if !ok {
			return nil
		}
		found, err := lister.List(f.ctx, markerPrefix)
		for _, each := range found {
			require.True(f.t, strings.HasPrefix(each.Marker, markerPrefix), "%q", each.Marker)
		}
		return err
	},
	func(f *fuzzed) error {
		if _, ok := f.connection.(provider.RootRotator); !ok {
			return nil
		}
		attempt := f.rotate(f.ctx, f.connection)
		if attempt.err == nil {
			assert.True(f.t, attempt.rotated.Previous == nil || json.Valid(attempt.rotated.Previous), "it can be written as JSON")
			f.checkError(errors.Join(errorTexts(attempt.rotated.Warnings)...))
			return nil
		}
		if provider.ClassOf(attempt.err).Definite() {
			f.EndFaults()
			require.NoError(f.t, f.logsIn(nil), "after a definite error the present root credential is active: %v", attempt.err)
		}
		return attempt.err
	},
	func(f *fuzzed) error { return f.connection.Logout(f.ctx) },
}

// fuzzed is one operation on a connection with some fuzzed answers.
type fuzzed struct {
	*env
	ctx        context.Context
	connection provider.Connection
	issued     *provider.Credential
	marker     string
	began      time.Time
	fault      emulator.Fault
	fuzzing    Fuzzing
}

// Fuzz replaces answers of the vendor by random ones, and requires what must hold with any answer: no operation panics
// or hangs; each error is a [*provider.Error], printable, limited in length and without secrets; a credential can be
// used and stored; and no revocation of a live credential succeeds, unless the answer itself confirmed it.
func (s Suite) Fuzz(f *testing.F, fuzzing Fuzzing) {
	clock := NewClock()
	start := clock.Now()
	server, err := emulator.Start(emulator.Config{Seed: 1, Now: clock.Now}, s.Emulator)
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, server.Close()) })
	for i, body := range append([]string{"", "null", "{}", "[]", "<html>", `{"message":"§"}`, repeat("[", 9000)}, fuzzing.Seeds...) {
		for step := range steps {
			f.Add(uint8(step), uint8(i%3), i%2 == 0, []uint16{0, 4, 200, 201, 203, 204, 229, 303}[i%8], "7", "Fri, 02 Jan 2026 03:04:05 GMT", body)
			f.Add(uint8(step), uint8(0), true, uint16(0), "", "", body)
		}
	}
	f.Fuzz(func(t *testing.T, step, skip uint8, forever bool, status uint16, retryAfter, date, body string) {
		server.Reset()
		clock.Set(start)
		e := newEnv(t, &s, Variant{}, server, clock)
		for _, secret := range e.secrets {
			body = strings.ReplaceAll(body, "§", secret)
		}
		fault := emulator.Fault{
			Vendor: e.vendor(), Route: emulator.AnyRoute, Skip: int(skip % 8),
			Status: 200 + int(status%400), Body: &body, Header: map[string]string{"Retry-After": retryAfter, "Date": date},
		}
		if !forever {
			fault.Times = 1
		}
		// No deadline: a driver would wait for the end of a Retry-After on a clock that stands still.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		defer time.AfterFunc(20*time.Second, cancel).Stop()
		run := &fuzzed{env: e, ctx: ctx, connection: e.open(), fault: fault, fuzzing: fuzzing}
		request := e.request()
		run.marker = request.Marker
		run.issued, err = e.tryIssue(run.connection, request)
		require.NoError(t, err)
		if server.AddFault(fault) != nil {
			return // the header is invalid
		}
		run.began = clock.Now()
		// Only the answers of the step are fuzzed. Those of the first credential are the emulator's.
		before := len(server.Requests(e.vendor()))
		run.checkError(steps[int(step)%len(steps)](run))
		require.Less(t, len(server.Requests(e.vendor()))-before, 100, "the operation stops")
	})
}

// checkError requires what must hold for any error.
func (f *fuzzed) checkError(err error) {
	if f.checkErr(err) == nil {
		return
	}
	text := err.Error()
	assert.True(f.t, utf8.ValidString(text), "%q", text)
	assert.Less(f.t, len(text), 8000)
	assert.False(f.t, strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }), "%q", text)
	if failure, ok := errors.AsType[*provider.Error](err); ok {
		assert.NotEqual(f.t, provider.ClassUnknown, failure.Class, text)
		assert.GreaterOrEqual(f.t, failure.RetryAfter, time.Duration(0))
		assert.LessOrEqual(f.t, failure.RetryAfter, 24*time.Hour)
		return
	}
	_, warning := err.(interface{ Unwrap() []error })
	assert.True(f.t, warning, "not an *Error: %v", err)
}

// errorTexts converts warnings into errors. The same must hold for their texts.
func errorTexts(warnings []string) []error {
	var texts []error
	for _, warning := range warnings {
		texts = append(texts, errors.New(warning))
	}
	return texts
}

// validCredential requires what must hold for any credential.
func (f *fuzzed) validCredential(credential *provider.Credential) {
	assert.NotEmpty(f.t, credential.Token)
	assert.NotEmpty(f.t, credential.TokenType)
	assert.True(f.t, json.Valid(credential.Handle))
	assert.True(f.t, credential.ExpiresAt.After(f.began), "it has not ended yet")
	f.validExpiry(credential.ExpiresAt)
	_, err := json.Marshal(credential)
	assert.NoError(f.t, err, "it can be written as JSON")
	f.checkError(errors.Join(errorTexts(credential.Warnings)...))
}

// validExpiry requires that an expiry is within the vendor's longest lifetime and can be stored.
func (f *fuzzed) validExpiry(end time.Time) {
	if longest := f.connection.MaxLifetime(); longest > 0 {
		assert.False(f.t, end.After(f.Clock.Now().Add(longest)), "%s is later than the longest lifetime allows", end)
	}
	_, err := end.MarshalJSON()
	assert.NoError(f.t, err, "it can be written as JSON")
}

// checkNothingLeft requires that after a successful revocation the credential has ended, or that an answer confirmed it.
func (f *fuzzed) checkNothingLeft(err error) {
	if err != nil || !f.LastIssued(emulator.KindLeased).Live {
		return
	}
	for _, request := range f.Requests(f.vendor()) {
		if request.Status == f.fault.Status && f.fuzzing.Gone != nil && f.fuzzing.Gone(request.Operation, request.Status, *f.fault.Body) {
			return
		}
	}
	f.t.Errorf("the credential is still live, and no answer confirmed its end: status %d, body %q", f.fault.Status, *f.fault.Body)
}
