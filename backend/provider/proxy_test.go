package provider_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestCheckProxy_Value_IsRefusedIfMalformed(t *testing.T) {
	for value, usable := range map[string]bool{
		"":                                      true,
		"proxy.example":                         true,
		"proxy.example:3128":                    true,
		"10.0.0.1:3128":                         true,
		"[fd00::1]:3128":                        true,
		"http://proxy.example":                  true,
		"https://u:hunter2@proxy.example:443/":  true,
		"u:hunter2@proxy.example:3128":          true,
		"http://u:hunter%232@proxy.example:80":  true,
		"socks5://proxy.example:1080":           true,
		"socks5h://proxy.example:1080":          true,
		"http://u:hunter2%@proxy.example:3128":  false,
		"http://u:hunter2#@proxy.example:3128":  false,
		"http://u:hunter2/@proxy.example:3128":  false,
		"http://u:hunter2 x@proxy.example:3128": false,
		"http://hunter2.example:port":           false,
		"http://hunter2.example:":               false,
		"http://hunter2.example:0":              false,
		"http://hunter2.example:65536":          false,
		"http://hunter2.example\n":              false,
		"ftp://hunter2.example":                 false,
		"http://":                               false,
		"http://u:hunter2@":                     false,
		":3128":                                 false,
		" ":                                     false,
		"hunter2.example%":                      false,
	} {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
			err := provider.CheckProxy(func(asked string) string {
				if asked == name {
					return value
				}
				return ""
			})
			if usable {
				require.NoError(t, err, "%q", value)
				continue
			}
			require.ErrorContains(t, err, name, "%q", value)
			require.NotContains(t, err.Error(), "hunter2", "%q", value)
		}
	}
}
