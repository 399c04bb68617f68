package httpclient

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// fieldAddress is the config field that errors about the address name.
const fieldAddress = "address"

// ParseAddress converts the value of the field "address" into a base URL. It accepts a host, host:port, or an https
// or http URL with an optional path. Whether requests may be sent there decides [CheckTarget]. An IP address must have its usual form:
// other forms of IPv4 addresses mean one thing to one resolver and another thing to the next. The result has a lower-case host and no
// trailing slash. The error is ClassInvalid and names the field. It never quotes the address, which may hold a mistyped password.
func ParseAddress(address string) (*url.URL, error) {
	parsed, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	parsed.Path = strings.TrimSuffix(path.Clean("/"+parsed.Path), "/")
	return parsed, nil
}

// parseAddress is ParseAddress, except that the path stays as it is written.
func parseAddress(address string) (*url.URL, error) {
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
	return &url.URL{Scheme: parsed.Scheme, Host: strings.ToLower(parsed.Host), Path: parsed.Path}, nil
}

// hostOf returns "name:port" of a URL, with the scheme's default port if it names none.
func hostOf(base *url.URL) string {
	port := base.Port()
	switch {
	case port != "":
	case base.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return net.JoinHostPort(base.Hostname(), port)
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
	case strings.ContainsFunc(parsed.Hostname(), func(r rune) bool { return r > unicode.MaxASCII }):
		return provider.InvalidField(fieldAddress, "the host must be ASCII; write an internationalized name in its xn-- form")
	case isNumeric(parsed.Hostname()):
		return provider.InvalidField(fieldAddress, "the host is neither a name nor an IP address; an IPv4 address has four decimal numbers "+
			"without leading zeros and without a dot at the end")
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
	return nil
}
