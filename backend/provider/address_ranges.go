package provider

import (
	"fmt"
	"net/netip"
	"strings"
)

// AllowAddressesVariable is the environment variable of the plugin that holds the allowed address ranges.
const AllowAddressesVariable = "VENDORAUTH_ALLOW_ADDRESSES"

// AddressRanges are ranges of IP addresses. The zero value holds no address. It is immutable and safe for concurrent
// use.
type AddressRanges []netip.Prefix

// ParseAddressRanges reads IP addresses and CIDR ranges that are separated by commas, such as
// "127.0.0.1, 192.168.7.0/24, fd00::/64". White space around an item is ignored. An empty text is no range. The error
// names the item and its correct form.
func ParseAddressRanges(text string) (AddressRanges, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var ranges AddressRanges
	for item := range strings.SplitSeq(text, ",") {
		parsed, err := parseAddressRange(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, parsed)
	}
	return ranges, nil
}

func parseAddressRange(item string) (netip.Prefix, error) {
	invalid := func(reason string) (netip.Prefix, error) {
		return netip.Prefix{}, fmt.Errorf("%q %s; the value is a list of IP addresses and CIDR ranges that are separated by commas, "+
			"such as 127.0.0.0/8,192.0.2.7", item, reason)
	}
	if item == "" {
		return invalid("is an empty item")
	}
	if !strings.Contains(item, "/") {
		ip, err := netip.ParseAddr(item)
		if err != nil || ip.Zone() != "" {
			return invalid("is not an IP address")
		}
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	parsed, err := netip.ParsePrefix(item)
	if err != nil {
		return invalid("is not a CIDR range")
	}
	if parsed != parsed.Masked() {
		return invalid(fmt.Sprintf("has bits behind its prefix length; write %s or one address", parsed.Masked()))
	}
	if ip := parsed.Addr(); ip.Is4In6() {
		if parsed.Bits() < mappedBits {
			return invalid("covers IPv4-mapped addresses and others; write the IPv4 range")
		}
		return netip.PrefixFrom(ip.Unmap(), parsed.Bits()-mappedBits), nil
	}
	return parsed, nil
}

// mappedBits is the length of the prefix of IPv4-mapped IPv6 addresses.
const mappedBits = 96

// Contains reports whether a range holds the address. An IPv4-mapped IPv6 address is the IPv4 address. A zone is
// ignored.
func (r AddressRanges) Contains(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, prefix := range r {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// String returns the ranges in the form that [ParseAddressRanges] reads.
func (r AddressRanges) String() string {
	items := make([]string, 0, len(r))
	for _, prefix := range r {
		items = append(items, prefix.String())
	}
	return strings.Join(items, ",")
}
