package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestArgument_Secret_ShowsItsKeyOnly(t *testing.T) {
	assert.Equal(t, "password=…", argument{text: "password=hunter2=3", secret: true}.shown())
	assert.Equal(t, "ttl=15m", argument{text: "ttl=15m"}.shown())
}

func TestShellQuote_AnyWord_CanBePasted(t *testing.T) {
	assert.Equal(t, "vendorauth/creds/x", shellQuote("vendorauth/creds/x"))
	assert.Equal(t, `'a b'`, shellQuote("a b"))
	assert.Equal(t, `'it'\''s'`, shellQuote("it's"))
	assert.Equal(t, `''`, shellQuote(""))
}

const table = `Key                Value
---                -----
lease_id           vendorauth/creds/r/abc
lease_renewable    true
expires_at         2026-01-02T03:04:05Z
token              eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl
token_type         Bearer
session            eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl
empty              n/a
`

func TestParseTable_VaultRead_ReturnsItsFields(t *testing.T) {
	assert.Equal(t, map[string]any{
		"lease_id":        "vendorauth/creds/r/abc",
		"lease_renewable": "true",
		"expires_at":      "2026-01-02T03:04:05Z",
		"token":           "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl",
		"token_type":      "Bearer",
		"session":         "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl",
		"empty":           "n/a",
	}, parseTable(table))
}

func TestShorten_Certificate_KeepsItsFrame(t *testing.T) {
	shown := shorten("ca_cert    -----BEGIN CERTIFICATE-----\nMIIB/+==\n-----END CERTIFICATE-----\nvendor    ftd\n")
	assert.Equal(t, "ca_cert    -----BEGIN CERTIFICATE----- … -----END CERTIFICATE-----\nvendor    ftd\n", shown)
}

func TestShorten_LongToken_KeepsItsBeginning(t *testing.T) {
	shown := shorten(table)
	assert.Contains(t, shown, "token              eyJhbGciOiJIUzI1…\n")
	assert.NotContains(t, shown, "c2lnbmF0dXJl")
	assert.Contains(t, shown, "token_type         Bearer\n")
}
