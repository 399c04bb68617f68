package httpclient

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// fieldAddress is the config field that errors about the address name.
const fieldAddress = "address"

// ParseAddress converts the value of the field "address" into a base URL. It accepts a host, host:port, or an https
// URL with an optional path. It accepts http for this machine's loopback addresses only, because http would send a
// root credential unencrypted. The result has a lower-case host and no trailing slash. The error is ClassInvalid
// and names the field. It never quotes the address, which may hold a mistyped password.
func ParseAddress(address string) (*url.URL, error) {
	text := strings.TrimSpace(address)
	if text == "" {
		return nil, provider.InvalidField(fieldAddress, "must not be empty")
	}
	if !strings.Contains(text, "://") {
		// The colons of a bare IPv6 address do not separate a port.
		if ip, err := netip.ParseAddr(text); err == nil && ip.Is6() {
			text = "[" + text + "]"
		}
		text = "https://" + text
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, provider.InvalidField(fieldAddress, "is not a host, host:port or URL")
	}
	if err := checkAddress(parsed); err != nil {
		return nil, err
	}
	cleaned := strings.TrimSuffix(path.Clean("/"+parsed.Path), "/")
	return &url.URL{Scheme: parsed.Scheme, Host: strings.ToLower(parsed.Host), Path: cleaned}, nil
}

func checkAddress(parsed *url.URL) error {
	switch {
	case parsed.Scheme != "https" && parsed.Scheme != "http":
		return provider.InvalidField(fieldAddress, "the scheme must be https")
	case parsed.User != nil:
		return provider.InvalidField(fieldAddress, "must not contain a user name or password")
	case parsed.RawQuery != "" || parsed.ForceQuery:
		return provider.InvalidField(fieldAddress, "must not contain a query")
	case parsed.Fragment != "" || strings.HasSuffix(parsed.String(), "#"):
		return provider.InvalidField(fieldAddress, "must not contain a fragment")
	case parsed.Hostname() == "":
		return provider.InvalidField(fieldAddress, "has no host")
	case strings.ContainsAny(parsed.Hostname(), " \t%\"<>\\^`{|}"):
		return provider.InvalidField(fieldAddress, "the host contains a character that is not allowed in host names")
	case strings.HasSuffix(parsed.Host, ":"):
		return provider.InvalidField(fieldAddress, "has an empty port")
	case parsed.RawPath != "":
		return provider.InvalidField(fieldAddress, "must not contain escaped slashes")
	}
	if port := parsed.Port(); port != "" {
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
			return provider.InvalidField(fieldAddress, "the port must be between 1 and 65535")
		}
	}
	if parsed.Scheme == "http" && !isLoopback(parsed.Hostname()) {
		return provider.InvalidField(fieldAddress,
			"http is accepted for loopback addresses only, because it would send the root credential unencrypted; use https")
	}
	return nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
