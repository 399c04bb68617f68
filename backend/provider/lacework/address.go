package lacework

// ExpandAddress implements [provider.AddressExpander]: a bare account name becomes the account's host.
func (vendor) ExpandAddress(address string) string { return expandAccount(address) }
