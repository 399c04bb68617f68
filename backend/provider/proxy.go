package provider

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// proxyVariables are the names of the environment variables that contain a proxy. Of two spellings, net/http uses the first
// one that is not empty.
var proxyVariables = [][]string{{"HTTPS_PROXY", "https_proxy"}, {"HTTP_PROXY", "http_proxy"}}

// CheckProxy checks the proxies that the environment names. net/http ignores a value that it cannot parse, and would send
// all requests past the proxy. getenv is os.Getenv outside of tests. The error names the variable. It contains no part of the
// value, which may hold a password.
func CheckProxy(getenv func(name string) string) error {
	for _, spellings := range proxyVariables {
		for _, name := range spellings {
			value := getenv(name)
			if value == "" {
				continue
			}
			if reason := checkProxy(value); reason != "" {
				return fmt.Errorf("the environment variable %s %s; it must be host:port or a URL such as http://proxy.example:3128, "+
					"with special characters of a password percent-encoded; its value is not shown, since it may contain a password", name, reason)
			}
			break
		}
	}
	return nil
}

// checkProxy returns why a value is not a proxy that can be used, or nothing. It parses the value as net/http does.
func checkProxy(value string) (reason string) {
	proxy, err := url.Parse(value)
	if err != nil || proxy.Scheme == "" || proxy.Host == "" {
		proxy, err = url.Parse("http://" + value)
	}
	switch {
	case err != nil:
		return "is malformed"
	case !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme):
		return "has a scheme that is not http, https, socks5 or socks5h"
	case strings.TrimSpace(proxy.Hostname()) == "" || strings.HasSuffix(proxy.Host, ":"):
		return "names no host, or has an empty port"
	}
	if port := proxy.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return "has a port that is not between 1 and 65535"
		}
	}
	return ""
}
