package fortianalyzer

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_PasswordRejected_IsDefiniteWithRetryAfter(t *testing.T) {
	for _, status := range []string{"401", "400", "200"} {
		for _, shape := range []string{"status", "oauth", "plain"} {
			if status == "200" && shape == "plain" {
				continue // the answer does not say that the password is wrong
			}
			t.Run(status+" "+shape, func(t *testing.T) {
				c := newCloud(t, "bad_credentials_status", status, "oauth_error_shape", shape)
				_, err := c.open(fieldPassword, "mistyped-password").Issue(t.Context(), issueRequest)
				failure := requireClass(t, provider.ClassUnauthenticated, err)
				require.Contains(t, failure.Detail, "invalid credentials given")
				require.Contains(t, failure.Remedy, "config/edge")
				require.Equal(t, rejectedPasswordBackoff, failure.RetryAfter)
				require.NotContains(t, err.Error(), "mistyped-password")
				require.Equal(t, []string{routeToken}, c.Operations())
			})
		}
	}
}

func TestIssue_OAuthStatus_HasItsClass(t *testing.T) {
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
			test.fault.Route = routeToken
			c.InjectFault(test.fault)
			_, err := c.open().Issue(t.Context(), issueRequest)
			require.Equal(t, test.field, requireClass(t, test.class, err).Field)
			require.Zero(t, c.Requested(routeLogin))
		})
	}
}

func TestIssue_OAuthServerUntrusted_NamesAuthAddress(t *testing.T) {
	c := newCloud(t)
	plain, err := emulator.Start(emulator.Config{PlainHTTP: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, plain.Close()) }()
	address := strings.Replace(plain.ControlURL(), "http://", "https://", 1)
	_, err = c.open(fieldAuthAddress, address).Issue(t.Context(), issueRequest)
	require.Equal(t, fieldAuthAddress, requireClass(t, provider.ClassInvalid, err).Field)
}

func TestOAuthError_WrongHostname_RemedyNamesAuthAddress(t *testing.T) {
	failure := &provider.Error{Class: provider.ClassInvalid, Remedy: "set tls_server_name", Err: x509.HostnameError{}}
	require.ErrorAs(t, newCloud(t).open().api.asOAuthError(failure), &failure)
	require.Equal(t, "correct auth_address in config/edge", failure.Remedy)
}

func TestIssue_LoginRejected_HasDefiniteClass(t *testing.T) {
	for name, test := range map[string]struct {
		switches []string
		class    provider.Class
	}{
		"401 status":    {[]string{"login_failure_status", "401"}, provider.ClassForbidden},
		"401 oauth":     {[]string{"login_error_shape", "oauth"}, provider.ClassForbidden},
		"401 no reason": {[]string{"login_error_shape", "empty_session"}, provider.ClassForbidden},
		"401 html":      {[]string{"login_error_shape", "html"}, provider.ClassForbidden},
		"403":           {[]string{"login_failure_status", "403"}, provider.ClassForbidden},
		"400":           {[]string{"login_failure_status", "400"}, provider.ClassForbidden},
		"200 status":    {[]string{"login_failure_status", "200"}, provider.ClassForbidden},
		"200 oauth":     {[]string{"login_failure_status", "200", "login_error_shape", "oauth"}, provider.ClassForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, append(test.switches, "login_max", "1")...)
			conn := c.open()
			c.issue(conn)
			_, err := conn.Issue(t.Context(), issueRequest)
			failure := requireClass(t, test.class, err)
			require.True(t, failure.Class.Definite())
			require.Contains(t, failure.Remedy, "login-max")
			require.Equal(t, 1, c.sessions())
			require.Equal(t, 1, c.Requested(routeToken), "a rejected login is no reason to send the password again")
		})
	}
}

func TestIssue_LoginStatus_HasItsClass(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		class provider.Class
		field string
	}{
		"404":             {emulator.Fault{Status: 404}, provider.ClassInvalid, "address"},
		"404 in the body": {emulator.Fault{Body: body(`{"status":{"code":404,"message":"x"}}`)}, provider.ClassForbidden, ""},
		"429":             {emulator.Fault{Status: 429}, provider.ClassRateLimited, ""},
		"503":             {emulator.Fault{Status: 503}, provider.ClassUnavailable, ""},
		"401 in the body": {emulator.Fault{Body: body(`{"status":{"code":401,"message":"x"}}`)}, provider.ClassForbidden, ""},
		"429 in the body": {emulator.Fault{Body: body(`{"error":{"code":429,"message":"x"}}`)}, provider.ClassRateLimited, ""},
		"a negative code": {emulator.Fault{Body: body(`{"status":{"code":-22,"message":"Login fail"}}`)}, provider.ClassForbidden, ""},
		"a message only":  {emulator.Fault{Body: body(`{"message":"Login fail"}`)}, provider.ClassForbidden, ""},
		"a code only":     {emulator.Fault{Body: body(`{"status":{"code":-22}}`)}, provider.ClassForbidden, ""},
		"a redirect":      {emulator.Fault{Status: 302, Header: map[string]string{"Location": "/"}}, provider.ClassInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			test.fault.Route = routeLogin
			c.InjectFault(test.fault)
			_, err := c.open().Issue(t.Context(), issueRequest)
			require.Equal(t, test.field, requireClass(t, test.class, err).Field)
		})
	}
}

func TestIssue_ErrorBody_FirstTextIsTheDetail(t *testing.T) {
	for content, want := range map[string]string{
		`{"error":"invalid_grant","error_description":"it has ended","status":{"code":7,"message":"other"}}`: "it has ended",
		`{"error":"invalid_grant","message":"other"}`:                                                        "invalid_grant",
		`{"message":"it has ended","error":{"code":7,"message":"other"}}`:                                    "it has ended",
		`{"status":{"code":7,"message":"it has ended"}}`:                                                     "it has ended",
		`{"status":{"code":0,"message":"OK"},"error":{"code":7,"message":"it has ended"}}`:                   "it has ended",
	} {
		c := newCloud(t)
		c.InjectFault(emulator.Fault{Route: routeToken, Status: 403, Body: body(content)})
		_, err := c.open().Issue(t.Context(), issueRequest)
		failure := requireClass(t, provider.ClassForbidden, err)
		require.Contains(t, failure.Detail, want, content)
		require.NotContains(t, failure.Detail, "other", content)
	}
}
