package provider

import (
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// AddressExpander is implemented by providers that accept short forms of the field "address", such as an account
// name in place of a host.
type AddressExpander interface {
	// ExpandAddress returns the long form of an address, and any other address unchanged. It makes no network
	// call.
	ExpandAddress(address string) string
}

// CanonicalAddress returns the one spelling of an address that a vendor's driver sends requests to, so that two
// spellings can be compared: with the scheme, a lower-case host, no default port and no trailing slash. It returns
// text that is no address unchanged, which differs from every address then. vendor may be nil.
func CanonicalAddress(vendor Provider, address string) string {
	text := strings.TrimSpace(address)
	if expander, ok := vendor.(AddressExpander); ok {
		text = expander.ExpandAddress(text)
	}
	return canonicalURL(text)
}

func canonicalURL(text string) string {
	if text == "" {
		return ""
	}
	full := text
	if !strings.Contains(full, "://") {
		if ip, err := netip.ParseAddr(full); err == nil && ip.Is6() {
			full = "[" + full + "]"
		}
		full = "https://" + full
	}
	parsed, err := url.Parse(full)
	if err != nil || parsed.Hostname() == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" || parsed.RawPath != "" {
		return text
	}
	host := strings.ToLower(parsed.Hostname())
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
		if ip.Is6() {
			host = "[" + host + "]"
		}
	}
	defaultPort := map[string]string{"https": "443", "http": "80"}[parsed.Scheme]
	if port := strings.TrimLeft(parsed.Port(), "0"); port != "" && port != defaultPort {
		host += ":" + port
	}
	return parsed.Scheme + "://" + host + strings.TrimSuffix(path.Clean("/"+parsed.Path), "/")
}
