package provider

import "regexp"

// prefixPattern matches a prefix of markers; see [Lister].
var prefixPattern = regexp.MustCompile(`^[a-z0-9-]{2,64}$`)

// CheckPrefix returns a ClassInvalid error unless prefix can be the beginning of a marker, with at least two
// characters. Every [Lister] calls it first: an empty prefix would list the credentials of the vendor's own users, and
// a wildcard of the vendor's search would list the credentials of other mounts.
func CheckPrefix(op, prefix string) error {
	if !prefixPattern.MatchString(prefix) {
		return &Error{Class: ClassInvalid, Op: op, Message: "a marker prefix must have 2 to 64 characters of a-z, 0-9 and -"}
	}
	return nil
}
