package provider

import "regexp"

// prefixPattern is what a prefix of markers looks like; see [Lister].
var prefixPattern = regexp.MustCompile(`^[a-z0-9-]{2,64}$`)

// CheckPrefix returns an error unless prefix can be the beginning of a marker, of two characters at least.
// Every [Lister] asks it first: an empty prefix would list what belongs to people, and a wildcard of the
// vendor's search would list what belongs to other mounts.
func CheckPrefix(op, prefix string) error {
	if !prefixPattern.MatchString(prefix) {
		return &Error{Class: ClassInvalid, Op: op, Message: "a prefix of markers has two to 64 characters of a-z, 0-9 and -"}
	}
	return nil
}
