package lacework

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestExpandAccount_BareName_GetsDomain(t *testing.T) {
	for given, want := range map[string]string{
		"acme":                    "acme.lacework.net",
		" acme ":                  "acme.lacework.net",
		"Acme-2":                  "Acme-2.lacework.net",
		"acme.lacework.net":       "acme.lacework.net",
		"acme.fra.lacework.net":   "acme.fra.lacework.net",
		"https://acme.example/":   "https://acme.example/",
		"acme:8443":               "acme:8443",
		"localhost":               "localhost",
		"-acme":                   "-acme",
		"acme/path":               "acme/path",
		"":                        "",
		"acme.corp.lacework.net.": "acme.corp.lacework.net.",
	} {
		assert.Equal(t, want, expandAccount(given), "%q", given)
	}
}
