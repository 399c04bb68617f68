package httpclient_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// open creates a client, and does not use it.
func open(t *testing.T, address, allowed string) error {
	t.Helper()
	ranges, err := provider.ParseAddressRanges(allowed)
	require.NoError(t, err)
	client, err := httpclient.New(httpclient.Options{Name: "edge", Address: address, AllowAddresses: ranges})
	if err == nil {
		client.Close()
	}
	return err
}

// requireRefused requires the error of a target to which no request is sent.
func requireRefused(t *testing.T, err error) {
	t.Helper()
	_ = refusalOf(t, err)
}

// refusalOf returns that error.
func refusalOf(t *testing.T, err error) *provider.Error {
	t.Helper()
	failure, ok := errors.AsType[*provider.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, provider.ClassInvalid, failure.Class)
	require.Equal(t, "address", failure.Field)
	return failure
}

// specialAddresses are addresses to which no request is sent, in all forms that a resolver, a proxy or a translator
// understands.
var specialAddresses = map[string]string{
	"loopback":                 "127.0.0.1",
	"another loopback":         "127.8.9.10",
	"loopback with a port":     "127.0.0.1:8200",
	"IPv6 loopback":            "::1",
	"IPv6 loopback, long":      "[0:0:0:0:0:0:0:1]:8200",
	"localhost":                "localhost",
	"localhost with a dot":     "LOCALHOST.:8200",
	"name below localhost":     "vault.localhost",
	"unspecified":              "0.0.0.0",
	"this network":             "0.1.2.3",
	"IPv6 unspecified":         "[::]:8200",
	"link-local":               "169.254.1.2",
	"IPv6 link-local":          "fe80::1",
	"metadata":                 "169.254.169.254",
	"metadata of AWS":          "fd00:ec2::254",
	"metadata of containers":   "169.254.170.2",
	"metadata of Alibaba":      "100.100.100.200",
	"metadata of Azure":        "168.63.129.16",
	"metadata of Oracle":       "192.0.0.192",
	"metadata of Google":       "fd20:ce::254",
	"multicast":                "224.0.0.1",
	"IPv6 multicast":           "ff02::1",
	"broadcast":                "255.255.255.255",
	"mapped":                   "::ffff:127.0.0.1",
	"mapped, hexadecimal":      "[::ffff:7f00:1]:8200",
	"mapped metadata":          "::ffff:169.254.169.254",
	"compatible":               "::127.0.0.1",
	"translated":               "::ffff:0:127.0.0.1",
	"NAT64":                    "64:ff9b::7f00:1",
	"NAT64 metadata":           "64:ff9b::169.254.169.254",
	"local NAT64":              "64:ff9b:1::7f00:1",
	"local NAT64, unspecified": "64:ff9b:1::",
	"local NAT64 of 48 bits":   "64:ff9b:1:7f00:0:100::",
	"local NAT64 of 56 bits":   "64:ff9b:1:ffa9:fe:a9fe::1",
	"local NAT64 of 64 bits":   "64:ff9b:1:0:a9:fea9:fe00:1",
	"ISATAP":                   "2001:db8::5efe:127.0.0.1",
	"ISATAP, global":           "2001:db8::200:5efe:169.254.169.254",
	"6to4":                     "2002:7f00:1::1",
	"Teredo":                   "2001:0:1:2:3:4:80ff:fffe",
	"decimal":                  "2130706433",
	"decimal with a port":      "2130706433:8200",
	"octal":                    "0177.0.0.1",
	"octal, one number":        "017700000001",
	"leading zeros":            "127.000.000.001",
	"hexadecimal":              "0x7f000001",
	"hexadecimal parts":        "0x7f.0x0.0x0.0x1",
	"hexadecimal end":          "127.0.0.0x1",
	"two parts":                "127.1",
	"three parts":              "127.0.1",
	"five parts":               "127.0.0.0.1",
	"trailing dot":             "127.0.0.1.",
	"trailing dots":            "127.0.0.1..",
	"number beyond its range":  "127.0.0.257",
	"full-width digits":        "１２７.0.0.1",
	"ideographic dots":         "127。0。0。1",
	"circled digits":           "①②⑦.0.0.1",
}

func TestNew_SpecialAddress_IsRefused(t *testing.T) {
	for name, address := range specialAddresses {
		for _, form := range []string{address, "https://" + bracketed(address) + "/x", "http://" + bracketed(address)} {
			t.Run(name+" "+form, func(t *testing.T) { requireRefused(t, open(t, form, "")) })
		}
	}
}

// bracketed returns an address as it stands in a URL.
func bracketed(address string) string {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
		return "[" + address + "]"
	}
	return address
}

func TestNew_SpecialAddress_NamesTheRemedy(t *testing.T) {
	failure := refusalOf(t, open(t, "127.0.0.1:8200", "10.0.0.0/8"))
	assert.Contains(t, failure.Message, "a loopback address")
	assert.Contains(t, failure.Remedy, "-env=VENDORAUTH_ALLOW_ADDRESSES=")
}

func TestNew_OrdinaryAddress_IsAccepted(t *testing.T) {
	for _, address := range []string{
		"10.0.0.1", "172.16.0.1:8443", "192.168.1.1", "100.64.0.1", "203.0.113.7", "fd00::1", "[fd12:3456::1]:8443", "2001:db8::1",
		"2620:fe::fe", "64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1", "64:ff9b:1:a00:0:100::", "64:ff9b:1:0:a:0:100:0", "2002:a00:1::1", "ftd.example", "ftd.example.", "localhost.example", "0x7f.example", "127.0.0.1.example", "1e100.net",
		"xn--bcher-kva.example",
	} {
		t.Run(address, func(t *testing.T) { require.NoError(t, open(t, address, "")) })
	}
}

func TestNew_ListedAddress_IsAccepted(t *testing.T) {
	for address, allowed := range map[string]string{
		"127.0.0.1":             "127.0.0.0/8",
		"http://127.0.0.1:8080": "192.0.2.1, 127.0.0.1",
		"http://localhost:8080": "127.0.0.1",
		"localhost":             "::1",
		"https://[::1]:8443":    "::1/128",
		"::ffff:127.0.0.1":      "127.0.0.1",
		"127.0.0.2":             "::ffff:127.0.0.2",
		"64:ff9b::7f00:1":       "127.0.0.0/8",
		"64:ff9b::7f00:2":       "64:ff9b::/96",
		"169.254.169.254":       "169.254.169.254/32",
		"0.0.0.0":               "0.0.0.0",
		"http://10.1.2.3":       "10.1.2.0/24",
		"http://[fd00::7]":      "fd00::/64",
	} {
		t.Run(address, func(t *testing.T) { require.NoError(t, open(t, address, allowed)) })
	}
}

func TestNew_OtherAddressListed_IsRefused(t *testing.T) {
	for address, allowed := range map[string]string{
		"127.0.0.2":             "127.0.0.1",
		"::1":                   "127.0.0.0/8",
		"169.254.169.254":       "127.0.0.0/8",
		"64:ff9b::7f00:2":       "127.0.0.1",
		"localhost":             "127.0.0.2",
		"2130706433":            "127.0.0.0/8", // listed, but not in its usual form
		"http://10.1.2.3":       "127.0.0.0/8",
		"http://ftd.example":    "10.0.0.0/8", // what a name resolves to is not known yet
		"http://[2001:db8::1]/": "::1",
	} {
		t.Run(address, func(t *testing.T) { requireRefused(t, open(t, address, allowed)) })
	}
}

func TestCheckTarget_PlainHTTP_SaysUseHTTPS(t *testing.T) {
	base, err := httpclient.ParseAddress("http://ftd.example")
	require.NoError(t, err)
	failure := refusalOf(t, httpclient.CheckTarget(base, providertest.Loopback()))
	assert.Contains(t, failure.Remedy, "use https")
}
