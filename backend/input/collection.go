package input

import (
	"maps"
	"strings"
)

const (
	wantsTexts = "must be a list of texts, or one text with commas between them; a text in it is not empty and has no white space at its ends"
	wantsInts  = "must be a list of whole numbers, or one text with commas between them"
	wantsPairs = "must be an object whose values are text, or key=value, once for each key"
)

// parseTexts accepts a list, or one text with commas. White space after a comma is a separator too. An empty text is
// the empty list.
func parseTexts(value any) (any, string) {
	items, ok := listOf(value)
	texts := make([]string, 0, len(items))
	for _, item := range items {
		text, isText := item.(string)
		ok = ok && isText && text != "" && text == strings.TrimSpace(text)
		texts = append(texts, text)
	}
	if !ok {
		return nil, wantsTexts
	}
	return texts, ""
}

// parseInts is parseTexts for whole numbers. One number is a list of one.
func parseInts(value any) (any, string) {
	items, ok := listOf(value)
	if _, isNumber := wholeNumber(value); isNumber {
		items, ok = []any{value}, true
	}
	numbers := make([]int, 0, len(items))
	for _, item := range items {
		number, isNumber := wholeNumber(item)
		ok = ok && isNumber
		numbers = append(numbers, number)
	}
	if !ok {
		return nil, wantsInts
	}
	return numbers, ""
}

// listOf returns the items of a list, or of a text with commas.
func listOf(value any) (items []any, ok bool) {
	switch list := value.(type) {
	case []any:
		return list, true
	case []string:
		for _, item := range list {
			items = append(items, item)
		}
		return items, true
	case []int:
		for _, item := range list {
			items = append(items, item)
		}
		return items, true
	case string:
		if list == "" {
			return nil, true
		}
		for item := range strings.SplitSeq(list, ",") {
			items = append(items, strings.TrimSpace(item))
		}
		return items, true
	default:
		return nil, false
	}
}

// parsePairs accepts an object, or the CLI's key=value, which is a list if it is given several times. The map is nil for
// an empty text.
func parsePairs(value any) (pairs map[string]any, complaint string) {
	switch given := value.(type) {
	case map[string]any:
		for key, item := range given {
			if _, isText := item.(string); !isText && item != nil || key == "" {
				return nil, wantsPairs
			}
		}
		return maps.Clone(given), ""
	case map[string]string:
		pairs = make(map[string]any, len(given))
		for key, item := range given {
			pairs[key] = item
		}
		return parsePairs(pairs)
	case string:
		if given == "" {
			return nil, ""
		}
		return pairsOf([]any{given})
	}
	if items, ok := listOf(value); ok {
		return pairsOf(items)
	}
	return nil, wantsPairs
}

// pairsOf reads a list of key=value. A key that occurs twice is rejected: one of its values would be lost.
func pairsOf(items []any) (pairs map[string]any, complaint string) {
	pairs = make(map[string]any, len(items))
	for _, item := range items {
		text, _ := item.(string)
		key, value, ok := strings.Cut(text, "=")
		if _, twice := pairs[key]; twice || !ok || key == "" {
			return nil, wantsPairs
		}
		pairs[key] = value
	}
	return pairs, ""
}
