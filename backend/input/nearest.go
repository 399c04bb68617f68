package input

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// maxShownName bounds how much of an unknown field's name an error repeats, in bytes.
const maxShownName = 64

// unknown returns the error for a field that the operation does not have. It names the nearest field that it has.
func (f Form) unknown(name string) error {
	if name == "" {
		return &provider.Error{Class: provider.ClassInvalid, Message: "a field has no name"}
	}
	shown := name
	if len(shown) > maxShownName {
		shown = strings.ToValidUTF8(shown[:maxShownName], "") + "..."
	}
	var known []string
	for _, field := range slices.Sorted(maps.Keys(f.Fields)) {
		if !slices.Contains(f.PathFields, field) && (!f.QueryOnly || f.Fields[field].Query) {
			known = append(known, field)
		}
	}
	remedy := "vault path-help lists the fields"
	if near := nearest(name, known); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	} else if len(known) == 0 {
		remedy = "this operation has no fields"
	}
	return &provider.Error{Class: provider.ClassInvalid, Field: shown, Message: "is unknown here", Remedy: remedy}
}

// nearest returns the field that a name was probably meant to be, or "". Upper case and hyphens count as no difference.
func nearest(name string, known []string) string {
	if len(name) > maxShownName {
		return ""
	}
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	best, distance := "", max(1, len(name)/3)+1
	for _, field := range known {
		if d := editDistance(name, field); d < distance {
			best, distance = field, d
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete, replace or swap with their neighbour to turn a into b (optimal string
// alignment).
func editDistance(a, b string) int {
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := previous[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			current[j] = min(replaced, previous[j]+1, current[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
