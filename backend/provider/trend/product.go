package trend

import (
	"net/url"
	"regexp"
)

// Products that have this API, as a check names them.
const (
	productManager    = "Deep Security Manager"
	productLegacy     = "Workload Security, legacy account"
	productProtection = "Vision One Server & Workload Protection"
)

// protectionHost matches the hosts of Vision One Server & Workload Protection: workload.us-1.cloudone.trendmicro.com. Two
// published clients (2026) use this API there. That a key of its console may create keys is inferred.
var protectionHost = regexp.MustCompile(`^workload\.[a-z]{2}-[0-9]+\.cloudone\.trendmicro\.com$`)

// productOf returns the product that answers at an address, by the host.
func productOf(address string) string {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		return productManager
	case protectionHost.MatchString(parsed.Hostname()):
		return productProtection
	case parsed.Hostname() == "app.deepsecurity.trendmicro.com":
		return productLegacy
	}
	return productManager
}
