package store

import (
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// MaxNameLength is how many characters the name of a config or role may have. The file storage of Vault limits a part
// of a key to 254 bytes; the rest is a reserve for other storages.
const MaxNameLength = 128

// CheckName returns a ClassInvalid error that says why a record cannot have this name, or nil. Names are exact: upper
// and lower case differ, as they do in Vault's policies, quotas and lease prefixes.
func CheckName(name string) error {
	for _, c := range []byte(name) {
		if !isWordByte(c) && c != '-' && c != '.' {
			return invalidName("a name consists of the letters A-Z and a-z, digits, _, - and .")
		}
	}
	switch {
	case name == "":
		return invalidName("a name is not empty")
	case len(name) > MaxNameLength:
		return invalidName("a name has at most 128 characters")
	case !isWordByte(name[0]) || !isWordByte(name[len(name)-1]):
		return invalidName("a name begins and ends with a letter, a digit or _")
	case strings.Contains(name, ".."):
		return invalidName("a name has no two dots in a row: Vault's storage refuses them")
	}
	return nil
}

// isWordByte reports whether a byte matches \w, as framework.GenericNameRegex uses it.
func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
}

func invalidName(reason string) error {
	return &provider.Error{Class: provider.ClassInvalid, Message: "the name is invalid", Remedy: reason}
}
