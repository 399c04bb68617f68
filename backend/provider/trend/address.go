package trend

import "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"

// ExpandAddress implements [provider.AddressExpander]: an address without a path gets the path of the API.
func (vendor) ExpandAddress(address string) string {
	base, err := httpclient.ParseAddress(address)
	if err != nil {
		return address
	}
	if base.Path == "" {
		base.Path = basePath
	}
	return base.String()
}
