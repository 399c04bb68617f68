package httpclient

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// A config's writer chooses where the Vault server sends requests. So no request goes to the server itself, to its link
// or to a metadata service, unless the plugin's environment lists the address. Private ranges stay allowed, because
// appliances have such addresses.
var (
	// thisNetwork is "this host on this network" (RFC 1122). Linux connects 0.0.0.0 to the machine itself.
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	broadcast   = netip.MustParsePrefix("255.255.255.255/32")

	// metadataServices are the addresses of cloud services that give credentials to any process of the machine. The
	// cloud providers document them.
	metadataServices = []netip.Prefix{
		netip.MustParsePrefix("169.254.169.254/32"),     // AWS, Azure, Google, Oracle, OpenStack and others
		netip.MustParsePrefix("169.254.170.0/24"),       // AWS: credentials of containers
		netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba
		netip.MustParsePrefix("168.63.129.16/32"),       // Azure: WireServer
		netip.MustParsePrefix("192.0.0.192/32"),         // Oracle, classic
		netip.MustParsePrefix("fd00:ec2::/32"),          // AWS
		netip.MustParsePrefix("fd20:ce::254/128"),       // Google
		netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle
		netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway
		netip.MustParsePrefix("fe80::a9fe:a9fe/128"),    // OpenStack
	}
)

// IPv6 ranges whose addresses contain an IPv4 address, which is where the packets may go.
var (
	ipv4Compatible = netip.MustParsePrefix("::/96")
	ipv4Translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	nat64          = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local     = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour      = netip.MustParsePrefix("2002::/16")
	teredo         = netip.MustParsePrefix("2001::/32")
)

// refusal is the error for a target to which no request is sent. The error and its text contain no address: a name's
// addresses are not shown to the config's writer.
type refusal struct {
	// kind is what the address is, with its article. Empty for a plain HTTP target that is not listed.
	kind string
}

// Error implements error.
func (r *refusal) Error() string {
	if r.kind == "" {
		return "http is accepted for listed addresses only, because it would send the root credential unencrypted"
	}
	return "no request is sent to " + r.kind
}

// invalid returns the refusal as an error about the field "address".
func (r *refusal) invalid(op string) *provider.Error {
	remedy := "use the product's own address"
	if r.kind == "" {
		remedy = "use https"
	}
	return &provider.Error{
		Class: provider.ClassInvalid, Op: op, Field: fieldAddress, Message: r.Error(), Err: r,
		Remedy: remedy + "; if the product really is there, let the operator of Vault list its IP address: vault plugin register -env=" +
			provider.AllowAddressesVariable + "=<IP address or CIDR range> ...",
	}
}

// rules decide which targets a client may send requests to.
type rules struct {
	allowed provider.AddressRanges
	// plain is true if the scheme is http.
	plain bool
}

// checkIP returns nil if requests may be sent to the address.
func (r rules) checkIP(ip netip.Addr) *refusal {
	ip = ip.Unmap().WithZone("")
	if r.allowed.Contains(ip) {
		return nil
	}
	if kind := kindOf(ip); kind != "" {
		return &refusal{kind}
	}
	if inner := embeddedIPv4(ip); len(inner) > 0 {
		for _, ip := range inner {
			if refused := r.checkIP(ip); refused != nil {
				return refused
			}
		}
		return nil
	}
	if r.plain {
		return &refusal{}
	}
	return nil
}

// checkHost checks a host that needs no resolver: an IP address, or a name of this machine. Other names are checked when
// they have been resolved. It returns nil if nothing is wrong.
func (r rules) checkHost(host string) *refusal {
	if ip, err := netip.ParseAddr(host); err == nil {
		return r.checkIP(ip)
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761
		first, second := r.checkIP(netip.AddrFrom4([4]byte{127, 0, 0, 1})), r.checkIP(netip.IPv6Loopback())
		if first != nil && second != nil {
			return first
		}
		return nil
	}
	if r.plain {
		return &refusal{}
	}
	return nil
}

// CheckTarget refuses a base URL of [ParseAddress] to which no request may be sent, as far as that is known without a
// resolver. allowed are the ranges that the plugin's environment lists. http is accepted for listed IP addresses and
// for localhost if its address is listed. The error is ClassInvalid and names the field "address".
func CheckTarget(base *url.URL, allowed provider.AddressRanges) error {
	if refused := newRules(base, allowed).checkHost(base.Hostname()); refused != nil {
		return refused.invalid("")
	}
	return nil
}

func newRules(base *url.URL, allowed provider.AddressRanges) rules {
	return rules{allowed: allowed, plain: base.Scheme == "http"}
}

// kindOf returns what a special address is, or "" for any other address.
func kindOf(ip netip.Addr) string {
	for _, service := range metadataServices {
		if service.Contains(ip) {
			return "a metadata service"
		}
	}
	switch {
	case ip.IsLoopback():
		return "a loopback address"
	case ip.IsUnspecified(), thisNetwork.Contains(ip):
		return "an unspecified address"
	case ip.IsLinkLocalUnicast():
		return "a link-local address"
	case ip.IsMulticast(), broadcast.Contains(ip):
		return "a multicast or broadcast address"
	}
	return ""
}

// embeddedIPv4 returns the IPv4 addresses that an IPv6 address may contain.
func embeddedIPv4(ip netip.Addr) []netip.Addr {
	if !ip.Is6() {
		return nil
	}
	bytes := ip.As16()
	at := func(positions ...int) netip.Addr {
		var inner [4]byte
		for i, position := range positions {
			inner[i] = bytes[position]
		}
		return netip.AddrFrom4(inner)
	}
	last := at(12, 13, 14, 15)
	switch {
	case ipv4Compatible.Contains(ip), ipv4Translated.Contains(ip), nat64.Contains(ip):
		return []netip.Addr{last}
	case nat64Local.Contains(ip):
		// The operator of the network chooses the length of the prefix, and with it the place of the IPv4 address
		// (RFC 6052, section 2.2). Where another length is used, these bytes are zero.
		places := []netip.Addr{at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12), last}
		if places = slices.DeleteFunc(places, thisNetwork.Contains); len(places) == 0 {
			return []netip.Addr{last}
		}
		return places
	case sixToFour.Contains(ip):
		return []netip.Addr{at(2, 3, 4, 5)}
	case teredo.Contains(ip):
		return []netip.Addr{netip.AddrFrom4([4]byte{^bytes[12], ^bytes[13], ^bytes[14], ^bytes[15]})}
	case bytes[8]&^0x03 == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe: // ISATAP (RFC 5214)
		return []netip.Addr{last}
	}
	return nil
}

// isNumeric reports whether a host looks like an IPv4 address to a resolver or a proxy, although it does not have the
// usual form: decimal (2130706433), octal (0177.0.0.1), hexadecimal (0x7f.1) or with another number of parts.
func isNumeric(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	name := strings.TrimRight(strings.ToLower(host), ".")
	last := name[strings.LastIndexByte(name, '.')+1:]
	if digits, hex := strings.CutPrefix(last, "0x"); hex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
