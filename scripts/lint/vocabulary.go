package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// vocabulary is the content of vocabulary.txt.
type vocabulary struct {
	words   []word
	allowed []*allowance
}

// word is an expression that is not used, and what is written in its place.
type word struct {
	pattern *regexp.Regexp
	// english expressions are also found in identifiers, whose words are separated first.
	english bool
	instead string
}

// allowance permits words where they are right, such as in a quotation of a vendor's message.
type allowance struct {
	file, text string
	line       int
	used       bool
}

// parseVocabulary reads the three sections of vocabulary.txt, which describes their format.
func parseVocabulary(text string) (*vocabulary, error) {
	parsed := &vocabulary{}
	section, number := "", 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = line
			continue
		}
		left, right, ok := strings.Cut(line, " => ")
		if !ok {
			return nil, fmt.Errorf("vocabulary.txt:%d: no \" => \" in %q", number, line)
		}
		left, right = strings.TrimSpace(left), strings.TrimSpace(right)
		switch section {
		case "[identifiers]", "[english]":
			english := section == "[english]"
			pattern, err := compileWord(left, english)
			if err != nil {
				return nil, fmt.Errorf("vocabulary.txt:%d: %w", number, err)
			}
			parsed.words = append(parsed.words, word{pattern, english, right})
		case "[allowed]":
			parsed.allowed = append(parsed.allowed, &allowance{file: left, text: right, line: number})
		default:
			return nil, fmt.Errorf("vocabulary.txt:%d: unknown section %q", number, section)
		}
	}
	return parsed, nil
}

// compileWord returns the pattern for whole words. English is found in any case.
func compileWord(expression string, english bool) (*regexp.Regexp, error) {
	flags := ""
	if english {
		flags = "(?i)"
	}
	return regexp.Compile(flags + `\b(?:` + expression + `)\b`)
}

// check returns what a file contains of the words, each line once for each word. A phrase that continues on the
// next line is found too, and reported where it begins.
func (v *vocabulary) check(file, content string) []finding {
	lines := strings.Split(content, "\n")
	var findings []finding
	for i, line := range lines {
		next := ""
		if i+1 < len(lines) {
			next = continuation.ReplaceAllString(lines[i+1], "")
		}
		line = strings.TrimRight(line, " \t\r")
		for _, w := range v.words {
			found := w.find(line, next)
			if found == "" || v.allows(file, line, next) {
				continue
			}
			findings = append(findings, finding{file, i + 1, fmt.Sprintf("%q: instead: %s", found, w.instead)})
		}
	}
	return findings
}

// continuation matches what precedes the text of a line: indentation and the comment or quotation mark.
var continuation = regexp.MustCompile(`^\s*(?://|#|>)?\s*`)

// find returns what a line contains of the word, or begins and next continues.
func (w *word) find(line, next string) string {
	if !w.english {
		return w.pattern.FindString(line)
	}
	if found := w.pattern.FindString(line); found != "" {
		return found
	}
	split := splitIdentifiers(line)
	if found := w.pattern.FindString(split); found != "" {
		return found
	}
	joined := split + " " + splitIdentifiers(next)
	if at := w.pattern.FindStringIndex(joined); len(at) == 2 && at[0] < len(split) && at[1] > len(split)+1 {
		return joined[at[0]:at[1]]
	}
	return ""
}

// boundary matches where one word of an identifier ends and the next begins.
var boundary = regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Za-z])_([A-Za-z])|([A-Z])([A-Z][a-z])`)

// splitIdentifiers puts spaces between the words of identifiers: camelCase and snake_case.
func splitIdentifiers(line string) string {
	// Twice, since two boundaries can share the character between them.
	return boundary.ReplaceAllString(boundary.ReplaceAllString(line, "$1$3$5 $2$4$6"), "$1$3$5 $2$4$6")
}

// allows reports whether an allowance covers a line, and notes that the allowance is used.
func (v *vocabulary) allows(file, line, next string) bool {
	for _, allowed := range v.allowed {
		if match, err := path.Match(allowed.file, file); err == nil && match && strings.Contains(line+" "+next, allowed.text) {
			allowed.used = true
			return true
		}
	}
	return false
}

// unusedAllowances reports the allowances that no line needs.
func (v *vocabulary) unusedAllowances() []finding {
	var findings []finding
	for _, allowed := range v.allowed {
		if !allowed.used {
			findings = append(findings, finding{"scripts/lint/vocabulary.txt", allowed.line, "no line needs this allowance"})
		}
	}
	return findings
}
