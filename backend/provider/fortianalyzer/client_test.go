package fortianalyzer

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_ALostAccessTokenIsNotAskedForTwiceAndLeavesNoSession(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"before":    {DropBefore: true},
		"after":     {DropAfter: true},
		"truncated": {Truncate: true},
		"500":       {Status: 500},
		"502":       {Status: 502},
		"503":       {Status: 503},
		"html":      {Body: body("<!DOCTYPE html><html></html>")},
		"empty":     {Body: body("")},
		"no token":  {Body: body(`{"token_type":"Bearer"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			fault.Route = askToken
			c.InjectFault(fault)
			config := c.config()
			config.MaxRetries = 3
			conn, err := New().Open(config)
			require.NoError(t, err)
			defer conn.Close()
			_, err = conn.Issue(t.Context(), asked)
			requireClass(t, provider.ClassUnavailable, err)
			require.Equal(t, []string{askToken}, c.Operations())
		})
	}
}

func TestIssue_ALostSessionIsAmbiguousAndNotAskedForTwice(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"after":      {DropAfter: true},
		"truncated":  {Truncate: true},
		"500":        {Status: 500},
		"504":        {Status: 504},
		"html":       {Body: body("<!DOCTYPE html><html></html>")},
		"empty":      {Body: body("")},
		"no reason":  {Body: body(`{}`)},
		"null":       {Body: body(`{"session":null}`)},
		"code 0":     {Body: body(`{"status":{"code":0,"message":""}}`)},
		"an array":   {Body: body(`[]`)},
		"two values": {Body: body(`{"session":"a"}{"session":"b"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			fault.Route = logIn
			c.InjectFault(fault)
			config := c.config()
			config.MaxRetries = 3
			conn, err := New().Open(config)
			require.NoError(t, err)
			defer conn.Close()
			_, err = conn.Issue(t.Context(), asked)
			requireClass(t, provider.ClassAmbiguous, err)
			require.Equal(t, []string{askToken, logIn, revokeToken}, c.Operations())
		})
	}
}

func TestIssue_ARefusedPasswordHasADefiniteClassAndAPause(t *testing.T) {
	for _, status := range []string{"401", "400", "200"} {
		for _, shape := range []string{"status", "oauth", "plain"} {
			if status == "200" && shape == "plain" {
				continue // nothing that could be understood
			}
			t.Run(status+" "+shape, func(t *testing.T) {
				c := newCloud(t, "bad_credentials_status", status, "oauth_error_shape", shape)
				_, err := c.open(fieldPassword, "mistyped-password").Issue(t.Context(), asked)
				failure := requireClass(t, provider.ClassUnauthenticated, err)
				require.Contains(t, failure.Message, "invalid credentials given")
				require.Contains(t, failure.Remedy, "config/edge")
				require.Equal(t, refusalPause, failure.RetryAfter)
				require.NotContains(t, err.Error(), "mistyped-password")
				require.Equal(t, []string{askToken}, c.Operations())
			})
		}
	}
}

func TestIssue_ClassesOfTheOAuthServersAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		class provider.Class
		field string
	}{
		"403":      {emulator.Fault{Status: 403}, provider.ClassForbidden, ""},
		"404":      {emulator.Fault{Status: 404}, provider.ClassInvalid, fieldAuthAddress},
		"410":      {emulator.Fault{Status: 410}, provider.ClassInvalid, fieldAuthAddress},
		"429":      {emulator.Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}}, provider.ClassRateLimited, ""},
		"redirect": {emulator.Fault{Status: 302, Header: map[string]string{"Location": "https://login.example/"}}, provider.ClassInvalid, ""},
		"201":      {emulator.Fault{Status: 201, Body: body(`{"access_token":"x"}`)}, provider.ClassUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			test.fault.Route = askToken
			c.InjectFault(test.fault)
			_, err := c.open().Issue(t.Context(), asked)
			require.Equal(t, test.field, requireClass(t, test.class, err).Field)
			require.Zero(t, c.Requested(logIn))
		})
	}
}

func TestIssue_AnOAuthServerThatCannotBeTrustedIsAboutAuthAddress(t *testing.T) {
	c := newCloud(t)
	plain, err := emulator.Start(emulator.Config{PlainHTTP: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, plain.Close()) }()
	address := strings.Replace(plain.ControlURL(), "http://", "https://", 1)
	_, err = c.open(fieldAuthAddress, address).Issue(t.Context(), asked)
	require.Equal(t, fieldAuthAddress, requireClass(t, provider.ClassInvalid, err).Field)
}

func TestIssue_TheRemedyForTheOAuthServersNameIsNotTLSServerName(t *testing.T) {
	failure := &provider.Error{Class: provider.ClassInvalid, Remedy: "set tls_server_name", Err: x509.HostnameError{}}
	require.ErrorAs(t, newCloud(t).open().api.authAddressed(failure), &failure)
	require.Equal(t, "correct auth_address in config/edge", failure.Remedy)
}

func TestIssue_TLSServerNameIsTheInstancesOnly(t *testing.T) {
	c := newCloud(t)
	config := c.config()
	config.TLSServerName = "elsewhere.example"
	conn, err := New().Open(config)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Issue(t.Context(), asked)
	require.Equal(t, opLogin, requireClass(t, provider.ClassInvalid, err).Op)
	require.Zero(t, c.Live(emulator.KindLogin), "the access token is revoked")
}

func TestIssue_ARefusedLoginHasADefiniteClass(t *testing.T) {
	for name, test := range map[string]struct {
		switches []string
		class    provider.Class
	}{
		"401 status":    {[]string{"login_failure_status", "401"}, provider.ClassUnauthenticated},
		"401 oauth":     {[]string{"login_error_shape", "oauth"}, provider.ClassUnauthenticated},
		"401 no reason": {[]string{"login_error_shape", "empty_session"}, provider.ClassUnauthenticated},
		"401 html":      {[]string{"login_error_shape", "html"}, provider.ClassUnauthenticated},
		"403":           {[]string{"login_failure_status", "403"}, provider.ClassForbidden},
		"400":           {[]string{"login_failure_status", "400"}, provider.ClassUnauthenticated},
		"200 status":    {[]string{"login_failure_status", "200"}, provider.ClassForbidden},
		"200 oauth":     {[]string{"login_failure_status", "200", "login_error_shape", "oauth"}, provider.ClassForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, append(test.switches, "login_max", "1")...)
			conn := c.open()
			c.issue(conn)
			_, err := conn.Issue(t.Context(), asked)
			failure := requireClass(t, test.class, err)
			require.True(t, failure.Class.Definite())
			require.Contains(t, failure.Remedy, "login-max")
			require.Equal(t, 1, c.sessions())
			require.Zero(t, c.Live(emulator.KindLogin), "the access token is revoked all the same")
		})
	}
}

func TestIssue_ClassesOfTheLoginsAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		class provider.Class
		field string
	}{
		"404":             {emulator.Fault{Status: 404}, provider.ClassInvalid, "address"},
		"404 in the body": {emulator.Fault{Body: body(`{"status":{"code":404,"message":"x"}}`)}, provider.ClassForbidden, ""},
		"429":             {emulator.Fault{Status: 429}, provider.ClassRateLimited, ""},
		"503":             {emulator.Fault{Status: 503}, provider.ClassUnavailable, ""},
		"401 in the body": {emulator.Fault{Body: body(`{"status":{"code":401,"message":"x"}}`)}, provider.ClassUnauthenticated, ""},
		"429 in the body": {emulator.Fault{Body: body(`{"error":{"code":429,"message":"x"}}`)}, provider.ClassRateLimited, ""},
		"a negative code": {emulator.Fault{Body: body(`{"status":{"code":-22,"message":"Login fail"}}`)}, provider.ClassForbidden, ""},
		"a text only":     {emulator.Fault{Body: body(`{"message":"Login fail"}`)}, provider.ClassForbidden, ""},
		"a code only":     {emulator.Fault{Body: body(`{"status":{"code":-22}}`)}, provider.ClassForbidden, ""},
		"a redirect":      {emulator.Fault{Status: 302, Header: map[string]string{"Location": "/"}}, provider.ClassInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			test.fault.Route = logIn
			c.InjectFault(test.fault)
			_, err := c.open().Issue(t.Context(), asked)
			require.Equal(t, test.field, requireClass(t, test.class, err).Field)
		})
	}
}
