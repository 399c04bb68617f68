package provider_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestParseAddressRanges_List_HasOneForm(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		" \t":                                "",
		"127.0.0.0/8":                        "127.0.0.0/8",
		" 127.0.0.1 , 10.1.0.0/16,::1 ":      "127.0.0.1/32,10.1.0.0/16,::1/128",
		"::ffff:127.0.0.1":                   "127.0.0.1/32",
		"::ffff:127.0.0.0/104,fd00:ec2::/32": "127.0.0.0/8,fd00:ec2::/32",
		"0.0.0.0/0,::/0":                     "0.0.0.0/0,::/0",
	} {
		t.Run(text, func(t *testing.T) {
			ranges, err := provider.ParseAddressRanges(text)
			require.NoError(t, err)
			assert.Equal(t, want, ranges.String())
		})
	}
}

func TestParseAddressRanges_Invalid_NamesTheItem(t *testing.T) {
	for text, item := range map[string]string{
		"localhost":             `"localhost"`,
		"127.0.0.1,":            `""`,
		",":                     `""`,
		"127.0.0.1 10.0.0.1":    `"127.0.0.1 10.0.0.1"`,
		"127.0.0.1;10.0.0.1":    `"127.0.0.1;10.0.0.1"`,
		"127.0.0.1:8200":        `"127.0.0.1:8200"`,
		"https://127.0.0.1":     `"https://127.0.0.1"`,
		"127.0.0.1,127.0.0.1/8": "write 127.0.0.0/8",
		"10.0.0.0/33":           `"10.0.0.0/33"`,
		"10.0.0.0/08":           `"10.0.0.0/08"`,
		"127.1":                 `"127.1"`,
		"0177.0.0.1":            `"0177.0.0.1"`,
		"fe80::1%eth0":          `"fe80::1%eth0"`,
		"fe80::%eth0/64":        `"fe80::%eth0/64"`,
		"::ffff:0.0.0.0/95":     "::ffff:0.0.0.0/95",
		"*":                     `"*"`,
	} {
		t.Run(text, func(t *testing.T) {
			_, err := provider.ParseAddressRanges(text)
			require.ErrorContains(t, err, item)
			require.ErrorContains(t, err, "separated by commas")
		})
	}
}

func TestAddressRanges_Contains_ComparesAddresses(t *testing.T) {
	ranges, err := provider.ParseAddressRanges("127.0.0.0/8,fe80::/10")
	require.NoError(t, err)
	for ip, want := range map[string]bool{
		"127.1.2.3": true, "::ffff:127.0.0.1": true, "fe80::1%eth0": true, "128.0.0.1": false, "::1": false, "::127.0.0.1": false,
	} {
		assert.Equal(t, want, ranges.Contains(netip.MustParseAddr(ip)), ip)
	}
	assert.False(t, provider.AddressRanges(nil).Contains(netip.MustParseAddr("127.0.0.1")))
}
