package lacework_test

import (
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func FuzzAnswers(f *testing.F) {
	suite().Fuzz(f, providertest.Fuzzing{Seeds: []string{
		`{"token":"_secret","expiresAt":"2026-01-02T06:04:05.000Z"}`,
		`{"token":"_secret","expiresAt":"9999-12-31T23:59:59Z"}`,
		`{"token":"_secret","expiresAt":"0000-01-01T00:00:00Z"}`,
		`{"token":"_secret","expiresAt":""}`,
		`{"data":[{"username":"a@example.com","orgAccount":true,"url":"acme.lacework.net","accounts":[{}]}]}`,
		`{"data":{"message":"§"},"ok":false,"message":"ERROR"}`,
	}})
}
