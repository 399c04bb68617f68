package backend

import "maps"

const fieldCustomMetadata = "custom_metadata"

// mergeMetadata returns the stored pairs of custom_metadata with the change of a write, as package input has parsed it.
// A patch merges by RFC 7396: a null removes one key, and absent keys stay. Another write replaces all pairs. In both, a
// null in place of the object removes all of them.
func mergeMetadata(stored map[string]string, parsed any, patch bool) map[string]string {
	pairs, given := parsed.(map[string]any)
	merged := map[string]string{}
	if patch && given {
		maps.Copy(merged, stored)
	}
	for key, value := range pairs {
		if text, ok := value.(string); ok {
			merged[key] = text
		} else {
			delete(merged, key)
		}
	}
	if len(merged) == 0 {
		return nil
	}
	return merged
}
